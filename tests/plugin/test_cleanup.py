"""--submariner-cleanup: what carries our label goes, everything else stays, and it is told."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.kube import client
from pytest_submariner.providers import lab

NAMESPACES: dict[str, dict[str, dict[str, str]]] = {
    "north": {"default": {}, "submariner-conformance-1": {"app.kubernetes.io/managed-by": "pytest-submariner"}},
    "south": {"default": {}},
}


class FakeClient:
    """Knows namespaces by context; `broken` cannot be reached."""

    spaces: dict[str, dict[str, dict[str, str]]]

    def __init__(self, kubeconfig: str | None, context: str) -> None:
        self.context = context

    def list(self, resource: str, *, labels: str = "") -> list[dict[str, Any]]:
        assert resource == "namespaces"
        if self.context == "broken":
            raise NodeUnreachable("connection refused")
        key, _, value = labels.partition("=")
        return [{"metadata": {"name": n}} for n, found in self.spaces[self.context].items() if found.get(key) == value]

    def delete(self, resource: str, name: str) -> None:
        del self.spaces[self.context][name]

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def clusters(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = [{"name": name} for name in ("north", "south", "broken")]
    (pytester.path / "config").write_text(str({"contexts": contexts}))
    monkeypatch.setenv("KUBECONFIG", str(pytester.path / "config"))
    monkeypatch.setattr(client, "KubeClient", FakeClient)
    FakeClient.spaces = {context: dict(spaces) for context, spaces in NAMESPACES.items()}
    pytester.makepyfile("def test_must_not_run(): raise SystemExit('ran')")


def test_leftovers_are_removed_and_named(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--submariner-cleanup", "--submariner-context=north", "--submariner-context=south")
    assert result.ret == 0
    assert result.outlines == [
        "submariner: c1 (context north): removed namespace submariner-conformance-1",
        "submariner: c2 (context south): nothing was left",
    ]
    assert FakeClient.spaces == {"north": {"default": {}}, "south": {"default": {}}}


def test_a_cluster_that_cannot_be_asked_does_not_save_the_others(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--submariner-cleanup", "--submariner-context=broken", "--submariner-context=north")
    assert result.ret == 1
    assert result.errlines == ["submariner: c1 (context broken): connection refused"]
    assert FakeClient.spaces["north"] == {"default": {}}


def test_an_unknown_context_is_exit_4(pytester: pytest.Pytester) -> None:
    assert pytester.runpytest("--submariner-cleanup", "--submariner-context=nort").ret == pytest.ExitCode.USAGE_ERROR


def test_without_contexts_the_running_labs_are_meant(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = [{"name": n, "kubeconfig": "config", "contexts": [c]} for n, c in (("one", "north"), ("two", "south"))]
    monkeypatch.setattr(lab, "running_labs", lambda: labs)
    result = pytester.runpytest("--submariner-cleanup")
    assert [line.partition(": ")[2] for line in result.outlines] == [
        "c1 (context north): removed namespace submariner-conformance-1",
        "c1 (context south): nothing was left",
    ]
    monkeypatch.setattr(lab, "running_labs", list)
    assert pytester.runpytest("--submariner-cleanup").outlines == ["submariner: no lab is running: nothing to clean"]
