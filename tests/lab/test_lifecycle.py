"""A lab's life: it boots, is refused twice, survives nobody, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running_lab import RunningLab, submariner_lab

pytestmark = pytest.mark.usefixtures("lab")


def _links() -> set[str]:
    return {device.name for device in Path("/sys/class/net").iterdir()}


def _processes_of(lab: str) -> list[int]:
    """Processes whose command line or environment cannot hide: all that share the holder's PID namespace."""
    pid = _holder(lab)
    namespace = Path(f"/proc/{pid}/ns/pid").stat().st_ino
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "ns/pid").stat().st_ino == namespace:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _holder(lab: str) -> int:
    status = json.loads(submariner_lab("status", "--name", lab, "--json").stdout)
    return int(status[0]["pid"])


def _wait_gone(pids: list[int]) -> list[int]:
    deadline = time.monotonic() + 10
    alive = pids
    while alive and time.monotonic() < deadline:
        alive = [pid for pid in alive if Path(f"/proc/{pid}").exists() and _state(pid) != "Z"]
        time.sleep(0.01)
    return alive


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_second_lab_of_a_name_is_refused(lab: RunningLab) -> None:
    done = submariner_lab("up", "--name", lab.name)
    assert done.returncode == 1
    message = done.stderr.decode()
    assert f"a lab named '{lab.name}' is already running" in message
    assert "Traceback" not in message
    assert lab.run("c1-gw", "true").returncode == 0


def test_host_sees_no_device_of_a_lab(lab: RunningLab) -> None:
    inside = lab.run("c1-gw", "ls", "/sys/class/net").stdout.decode().split()
    assert "vx-submariner" in inside
    assert not _links() & {"vx-submariner", "vxlan-tunnel", "underlay", "cni0", *(n["name"] for n in lab.nodes)}


def test_two_labs_live_side_by_side_and_one_ends_alone(lab: RunningLab) -> None:
    other = RunningLab.boot(f"{lab.name}-b", "--workers", "0", "--clusters", "1")
    try:
        assert [n["name"] for n in other.nodes] == ["c1-gw"]
        assert other.run("c1-gw", "hostname").stdout == b"c1-gw\n"
    finally:
        pids = _processes_of(other.name)
        other.down()
    assert _wait_gone(pids) == []
    assert not Path(other.kubeconfig).exists()
    assert lab.run("c1-gw", "true").returncode == 0


def test_killed_holder_takes_everything_with_it() -> None:
    name = f"tests-kill-{os.getpid()}"
    RunningLab.boot(name)
    pids = _processes_of(name)
    assert len(pids) > 4
    os.kill(_holder(name), signal.SIGKILL)
    assert _wait_gone(pids) == []
    assert submariner_lab("status", "--name", name).returncode == 1
    again = RunningLab.boot(name)
    again.down()


def test_lab_ends_with_the_process_that_owns_it() -> None:
    name = f"tests-owner-{os.getpid()}"
    owner = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        done = submariner_lab("up", "--name", name, "--json", "--owner-pid", str(owner.pid))
        assert done.returncode == 0, done.stderr
        pids = _processes_of(name)
    finally:
        owner.kill()
        owner.wait()
    assert _wait_gone(pids) == []
    assert not Path(json.loads(done.stdout)["kubeconfig"]).exists()


def test_exec_passes_streams_and_exit_status(lab: RunningLab) -> None:
    done = lab.run("c1-w1", "sh", "-c", "cat; echo err >&2; exit 7", stdin=b"hello")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"hello", b"err\n")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("exec", "nowhere", "--", "true"), "has no node 'nowhere'; it has c1-gw"),
        (("exec", "c9/default/x", "--", "true"), "has no cluster 'c9'; it has c1, c2"),
        (("exec", "c1/default/nothing", "--", "true"), "runs no pod default/nothing"),
        (("exec", "c1-gw", "--", "no-such-program"), "executable file not found"),
    ],
)
def test_wrong_target_is_one_clear_line(lab: RunningLab, argv: tuple[str, ...], says: str) -> None:
    done = submariner_lab(argv[0], "--name", lab.name, *argv[1:])
    message = done.stderr.decode()
    assert done.returncode == 1
    assert says in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--clusters", "0"), "--clusters 0: allowed are 1 to 20"),
        (("--workers", "-1"), "--workers -1: allowed are 0 to"),
        (("--cable", "string"), "--cable 'string': this lab knows vxlan"),
        (("--name", "No_Way"), "--name 'No_Way'"),
        (("--profile", "moon"), "--profile 'moon': this lab knows default, issue-3134"),
        (("--owner-pid", "999999999"), "--owner-pid 999999999: there is no such process"),
        (("--api-port", "99999"), "--api-port: 99999 is no port"),
    ],
)
def test_bad_option_is_one_clear_line(options: tuple[str, ...], says: str) -> None:
    done = submariner_lab("up", *(() if "--name" in options else ("--name", f"tests-bad-{os.getpid()}")), *options)
    message = done.stderr.decode()
    assert done.returncode == 1
    assert says in message
    assert message.count("\n") == 1


def test_taken_port_is_named(lab: RunningLab) -> None:
    port = next(
        int(line.rpartition(":")[2]) for line in Path(lab.kubeconfig).read_text().splitlines() if "server:" in line
    )
    done = submariner_lab("up", "--name", f"tests-port-{os.getpid()}", "--api-port", str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: it is taken by another process" in done.stderr.decode()
