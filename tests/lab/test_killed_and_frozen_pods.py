"""Probe pods that die or freeze while they are measured with, on a real lab: no path is called blocked for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest
from running_lab import RunningLab

from pytest_submariner.errors import ExitStatusLost
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.probes.pods import CONTAINER, namespace_name
from pytest_submariner.probes.prober import Prober
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.kubeconfig import find_topology

PATHS = [
    PathCase.parse(f"pod.ngw.c1--pod.{role}.c2--{protocol}") for role in ("gw", "ngw") for protocol in ("tcp", "udp")
]
SIGNAL = """
mine=$(readlink /proc/$$/ns/mnt)
for process in /proc/[0-9]*; do
    [ "$(readlink "$process/ns/mnt")" = "$mine" ] || continue
    case "$(cat "$process/comm")" in python*) kill -%s "${process#/proc/}" ;; esac
done
true
"""
"""Run in a pod, to which the lab shows the processes of others as well: for its own Python, the listener."""


@pytest.fixture
def kube(lab: RunningLab) -> Iterator[dict[str, KubeClient]]:
    clients = {context: KubeClient(str(lab.kubeconfig), context) for context in ("c1", "c2")}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture
def prober(lab: RunningLab, kube: dict[str, KubeClient], signal: str) -> Iterator[Prober]:
    topology = find_topology([Place(c, str(lab.kubeconfig), c) for c in kube], "lab")
    settings = SimpleNamespace(image="python", timeout=1.0, keep=False, rate=None, pods_per_node=3)
    prober = Prober(topology, kube.__getitem__, settings, run_id=signal.lower())
    yield prober
    prober.close()


@pytest.mark.parametrize(("signal", "word"), [("STOP", "over its own loopback"), ("KILL", "died: Failed")])
def test_a_target_that_cannot_answer(prober: Prober, kube: dict[str, KubeClient], signal: str, word: str) -> None:
    before = prober.measure(PATHS)
    assert {result.verdict for result in before.values()} == {Verdict.OK}
    with suppress(ExitStatusLost):  # the pod ends with its listener, and this command with the pod
        kube["c2"].exec(namespace_name(signal.lower()), "pod-c2-gw", CONTAINER, ["sh", "-c", SIGNAL % signal])
    after = prober.measure(PATHS)
    assert {path: r.verdict for path, r in after.items()} == {
        path: Verdict.INCONCLUSIVE if ".gw.c2" in path else Verdict.OK for path in before
    }
    assert all(word in r.detail for r in after.values() if r.verdict is Verdict.INCONCLUSIVE)
