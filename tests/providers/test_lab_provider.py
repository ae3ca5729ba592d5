"""The lab provider talks to `submariner-lab` only: what it asks, what it makes of answers and refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_programs import FakePrograms
from some_settings import settings

from pytest_submariner.errors import LabError, LabUnavailable
from pytest_submariner.lab.state import LabState
from pytest_submariner.model.topology import Topology
from pytest_submariner.providers import lab as module
from pytest_submariner.providers.base import Run, World
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.lab import LabProvider

RUN = Run("0a1b2c3d", 4711)
LAB = {
    "name": "pytest-0a1b2c3d",
    "kubeconfig": "/s/kubeconfig",
    "ssh_config": "/s/ssh_config",
    "contexts": ["c1", "c2"],
    "nodes": [],
}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    """A `submariner-lab` that answers with LAB, and a topology that says which contexts it was made of."""

    def found(places: list[Place], provider: str) -> Topology:
        assert places == [Place("c1", "/s/kubeconfig", "c1"), Place("c2", "/s/kubeconfig", "c2")]
        return Topology((), provider)

    programs = FakePrograms(tmp_path / "bin")
    answer = f"case $3 in up) echo '{json.dumps(LAB)}';; status) echo '[{json.dumps(LAB)}]';; esac"
    monkeypatch.setattr("sys.executable", str(programs.add("python", answer)))
    monkeypatch.setattr(module, "find_topology", found)
    return programs


def called(programs: FakePrograms) -> list[str]:
    return [call.removeprefix("python -m pytest_submariner.lab.cli ") for call in programs.calls]


def test_a_lab_of_our_own_is_named_after_the_run_ends_with_it_and_is_removed(programs: FakePrograms) -> None:
    provider = LabProvider(settings(), RUN)
    world = provider.find()
    provider.release()
    assert called(programs) == [
        "up --json --name pytest-0a1b2c3d --owner-pid 4711",
        "status --json",
        "down --name pytest-0a1b2c3d",
    ]
    assert (world.ssh_config, world.lab, world.topology.provider) == ("/s/ssh_config", LAB, "lab")
    assert world.timings["boot_s"] > 0


def test_a_world_survives_the_journey_to_another_worker(programs: FakePrograms) -> None:
    world = LabProvider(settings(), RUN).find()
    assert World.from_dict(json.loads(json.dumps(world.to_dict()))) == world


def test_a_kept_lab_has_no_owner_and_stays(programs: FakePrograms) -> None:
    provider = LabProvider(settings(keep=True), RUN)
    provider.find()
    provider.release()
    assert called(programs) == ["up --json --name pytest-0a1b2c3d"]


def test_a_lab_of_somebody_else_is_read_from_its_files_and_stays(
    programs: FakePrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    state = LabState.of(str(LAB["name"]))
    claim = state.lock()
    try:
        state.write("lab.json", json.dumps(LAB))
        provider = LabProvider(settings(lab=LAB["name"]), RUN)
        world = provider.find()
        provider.release()
    finally:
        os.close(claim)
    assert called(programs) == []
    assert world.timings == {}


def test_a_lab_that_is_gone_is_not_removed_twice(programs: FakePrograms) -> None:
    programs.add("python", "echo '[]'")
    LabProvider(settings(), RUN).release()
    assert called(programs) == ["status --json"]


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ("echo 'submariner-lab: no vxlan in this kernel' >&2; exit 3", LabUnavailable, "no vxlan in this kernel"),
        ("echo noise >&2; echo 'submariner-lab: the name is taken' >&2; exit 1", LabError, "the name is taken"),
        ("exit 9", LabError, "exit status 9"),
        ("echo hello", LabError, "submariner-lab up answered with something that is not JSON: 'hello.n'"),
        (
            'echo \'{"name": "x", "nodes": []}\'',
            LabError,
            "submariner-lab up --json left out kubeconfig, ssh_config, contexts",
        ),
    ],
)
def test_refusals_are_one_line(programs: FakePrograms, script: str, error: type[Exception], said: str) -> None:
    programs.add("python", script)
    with pytest.raises(error, match=said) as raised:
        LabProvider(settings(), RUN).find()
    assert type(raised.value) is error
    assert "\n" not in str(raised.value)


def test_a_refusal_keeps_what_a_process_said_last(programs: FakePrograms) -> None:
    """The lab quotes the log of the process that did not come up below its own line."""
    said = "c1-gw: submariner-gateway ended; the last it said:\nline one\nno matches for kind Endpoint"
    programs.add("python", f"echo warning >&2; echo 'submariner-lab: {said}' >&2; exit 1")
    with pytest.raises(LabError) as raised:
        LabProvider(settings(), RUN).find()
    assert str(raised.value) == said


def test_a_lab_that_hangs_is_given_up(programs: FakePrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("python", "exec sleep 20")
    monkeypatch.setattr(module, "BOOT_DEADLINE_S", 0.2)
    with pytest.raises(LabError, match=r"submariner-lab up did not end within 0.2 s"):
        LabProvider(settings(), RUN).find()


def test_attaching_to_a_lab_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(
        LabError, match=r"--submariner-lab mine: .* not running; running: none; boot it with submariner-lab up"
    ):
        LabProvider(settings(lab="mine"), RUN).find()
