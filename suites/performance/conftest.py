"""One item per figure: parameter `load`, for the measure the test's name says."""

from __future__ import annotations

import pytest

from pytest_submariner.model.performance import Measure
from pytest_submariner.performance import suite_loads


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "load" in metafunc.fixturenames:
        measure = Measure(metafunc.definition.originalname.removeprefix("test_"))
        cases = suite_loads(metafunc.config, measure)
        metafunc.parametrize("load", [pytest.param(case.id, id=case.id) for case in cases])
