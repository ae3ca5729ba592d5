"""Every test here starts from the same environment, whatever shell or CI runs it."""

from __future__ import annotations

import os

import pytest
from fake_run import Fake

from pytest_submariner.diagnose import diagnosis


@pytest.fixture(autouse=True)
def clean_environment(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the developer's shell or a CI exports must not change what these tests see."""
    for name in list(os.environ):
        if name in ("CI", "KUBECONFIG") or name.startswith(("GITHUB_", "PYTEST_SUBMARINER_", "PYTEST_XDIST_")):
            monkeypatch.delenv(name)
    # pytest-asyncio warns about every project that does not configure it.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:asyncio")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def fake(pytester: pytest.Pytester) -> Fake:
    return Fake(pytester)


@pytest.fixture(autouse=True)
def _own_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process may put a stand-in in its place (`fake_diagnosis`): it goes back afterwards."""
    monkeypatch.setattr(diagnosis, "Diagnosis", diagnosis.Diagnosis)
