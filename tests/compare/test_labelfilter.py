"""Ginkgo's label filter, as subctl writes it."""

from __future__ import annotations

import pytest

from pytest_submariner.compare.labelfilter import selects


@pytest.mark.parametrize(
    ("expression", "labels", "expected"),
    [
        ("", [], True),
        ("  ", ["x"], True),
        ("dataplane&&!globalnet", ["dataplane", "basic"], True),
        ("dataplane&&!globalnet", ["dataplane", "globalnet"], False),
        ("dataplane&&!globalnet || service-discovery", ["service-discovery"], True),
        ("dataplane && basic && !globalnet", ["dataplane"], False),
        ("a || b && c", ["a"], True),
        ("(a || b) && c", ["a"], False),
        ("a, b", ["b"], True),
        ("!(a || b)", ["c"], True),
        ("!a && !b", ["b"], False),
        ("!!a", ["a"], True),
        ("/^data/", ["dataplane"], True),
        ("/^plane/", ["dataplane"], False),
        ("DataPlane", ["dataplane"], True),
        ("redundancy", [], False),
    ],
)
def test_selects(expression: str, labels: list[str], expected: bool) -> None:
    assert selects(expression, labels) is expected


@pytest.mark.parametrize("expression", ["a &&", "(a", "a)", "|| a", "a b)", "a & b", "/unfinished", "!"])
def test_what_cannot_be_read_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="label filter"):
        selects(expression, ["a"])
