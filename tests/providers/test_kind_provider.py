"""The kind provider against programs that only log: what is asked of kind, kubectl and subctl. No cluster is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_programs import FakePrograms
from some_settings import settings

from pytest_submariner.errors import LabUnavailable, TopologyError
from pytest_submariner.model.topology import Topology
from pytest_submariner.providers import kind as module
from pytest_submariner.providers.base import Run
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.kind import KindProvider

RUN = Run("0a1b2c3d", 4711)
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "k",
    "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "k", "user": {}}],
    "contexts": [{"name": "k", "context": {"cluster": "k", "user": "k"}}],
}
CREATE = f"""
for word in "$@"; do case $word in --kubeconfig=*) echo '{json.dumps(KUBECONFIG)}' > "${{word#*=}}";; esac; done
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    programs = FakePrograms(tmp_path / "bin")
    programs.add("kind", CREATE)
    programs.add("kubectl", "case $1 in get) echo 172.18.0.2;; esac")
    programs.add("subctl")
    monkeypatch.setenv("PATH", str(programs.folder))
    monkeypatch.chdir(tmp_path)
    return programs


def test_two_clusters_are_made_joined_and_removed(
    programs: FakePrograms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("pytest_kind")
    folder = tmp_path / ".pytest-kind" / "submariner-0a1b2c3d"

    def found(places: list[Place], provider: str) -> Topology:
        assert places == [Place(p, str(folder / f"{p}.kubeconfig"), None) for p in ("c1", "c2")]
        return Topology((), provider)

    monkeypatch.setattr(module, "find_topology", found)
    provider = KindProvider(settings(provider="kind"), RUN)
    assert provider.find().topology.provider == "kind"
    assert "podSubnet: 10.9.0.0/16, serviceSubnet: 100.9.0.0/16" in (folder / "c2.yaml").read_text()
    provider.release()
    assert not folder.exists()
    made = [call for call in programs.calls if " get clusters" not in call]
    create = "kind create cluster --name=submariner-0a1b2c3d-{0} --kubeconfig={1}/{0}.kubeconfig --config {1}/{0}.yaml"
    serve = "kubectl config set-cluster kind-submariner-0a1b2c3d-{0} --server=https://172.18.0.2:6443"
    join = "subctl join --kubeconfig {1}/{0}.kubeconfig {1}/broker-info.subm --clusterid {0} --natt=false --cable-driver vxlan"
    wanted = [create, serve]
    assert [call for call in made if " get node " not in call] == [
        *(line.format("c1", folder) for line in wanted),
        *(line.format("c2", folder) for line in wanted),
        f"subctl deploy-broker --kubeconfig {folder}/c1.kubeconfig",
        *(join.format(position, folder) for position in ("c1", "c2")),
        *(f"kind delete cluster --name submariner-0a1b2c3d-{position}" for position in ("c1", "c2")),
    ]


@pytest.mark.parametrize("missing", ["kind", "kubectl", "subctl"])
def test_a_missing_program_is_named_and_nothing_downloaded(programs: FakePrograms, missing: str) -> None:
    (programs.folder / missing).unlink()
    with pytest.raises(LabUnavailable, match=f"provider kind needs {missing} in PATH; nothing is downloaded"):
        KindProvider(settings(provider="kind"), RUN).find()
    assert programs.calls == []


def test_a_missing_package_is_named(programs: FakePrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(LabUnavailable, match=r"pip install 'pytest-submariner\[kind\]'"):
        KindProvider(settings(provider="kind"), RUN).find()


def test_a_cluster_that_cannot_be_made(programs: FakePrograms) -> None:
    pytest.importorskip("pytest_kind")
    programs.add("kind", "case $1 in create) exit 1;; esac")
    with pytest.raises(TopologyError, match=r"kind could not make cluster submariner-0a1b2c3d-c1: .*exit status 1"):
        KindProvider(settings(provider="kind"), RUN).find()


def test_a_join_that_fails_says_subctls_own_last_line(programs: FakePrograms) -> None:
    pytest.importorskip("pytest_kind")
    programs.add("subctl", "echo working; echo 'the broker is unreachable' >&2; exit 1")
    with pytest.raises(TopologyError, match=r"subctl deploy-broker failed: the broker is unreachable"):
        KindProvider(settings(provider="kind"), RUN).find()


def test_kept_clusters_stay(programs: FakePrograms, tmp_path: Path) -> None:
    (tmp_path / ".pytest-kind" / "submariner-0a1b2c3d").mkdir(parents=True)
    KindProvider(settings(provider="kind", keep=True), RUN).release()
    assert programs.calls == []
