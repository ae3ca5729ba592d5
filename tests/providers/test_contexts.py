"""Which file and context is c1, c2, …"""

from __future__ import annotations

from pathlib import Path

import pytest
from some_settings import settings

from pytest_submariner.providers.contexts import Place, places


@pytest.mark.parametrize(
    ("files", "contexts", "meant"),
    [
        ((), ("a", "b"), [(None, "a"), (None, "b")]),
        (("/k",), ("a", "b"), [("/k", "a"), ("/k", "b")]),
        (("/k", "/l"), ("a", "a"), [("/k", "a"), ("/l", "a")]),
        (("/k", "/l"), (), [("/k", None), ("/l", None)]),
        (("/k",), ("a",), [("/k", "a")]),
    ],
)
def test_places(files: tuple[str, ...], contexts: tuple[str, ...], meant: list[tuple[str | None, str | None]]) -> None:
    given = settings(provider="kubeconfig", kubeconfig=tuple(map(Path, files)), context=contexts)
    assert places(given) == [Place(f"c{i}", file, context) for i, (file, context) in enumerate(meant, start=1)]
    assert given.positions == tuple(f"c{i}" for i in range(1, len(meant) + 1))
