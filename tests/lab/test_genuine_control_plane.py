"""A lab on a genuine kube-apiserver and etcd: the same to kubectl, the suites and the agents, and plain about what is wrong."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import peers
import pytest
from refusals import of_another_machine, program, refused
from running_lab import RunningLab

Exec = Callable[..., subprocess.CompletedProcess[bytes]]
VERSION = '[ "$1" = --version ] && { echo "Kubernetes v1.99.0"; exit; }'
"""What a fake has to answer before anything is started."""


@pytest.fixture(scope="module")
def kube_lab() -> Iterator[RunningLab]:
    """Genuine control plane and genuine agents."""
    peers.kube_apiserver()
    agents = ("--submariner", "agents", "--agents-dir", str(peers.agents_dir()))
    running = RunningLab.boot(f"tests-kube-{os.getpid()}", "--control-plane", "kube", *agents)
    yield running
    running.down()


def kubectl(lab: RunningLab, *argv: str) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "--kubeconfig", lab.kubeconfig, "--context", "c2", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_suites_pass_unchanged(kube_lab: RunningLab, tmp_path: Path) -> None:
    status, results, said = kube_lab.pytest(("suites/cross_cluster", "-k", "tcp or status"), tmp_path)
    assert status == 0, said
    assert len(results["paths"]) >= 20
    assert {result["verdict"] for result in results["paths"]} == {"ok"}


def test_agents_may_do_what_the_operator_lets_them_and_no_more(kube_lab: RunningLab) -> None:
    account = "--as=system:serviceaccount:submariner-operator:submariner-routeagent"
    assert kubectl(kube_lab, "auth", "can-i", "list", "nodes", account).stdout == "yes\n"
    assert kubectl(kube_lab, "auth", "can-i", "list", "secrets", "-n", "kube-system", account).stdout == "no\n"
    assert kubectl(kube_lab, "auth", "can-i", "delete", "nodes", account).stdout == "no\n"


def test_logs_and_exec_go_through_the_apiserver(kube_lab: RunningLab) -> None:
    where = ("-n", "submariner-operator")
    names = kubectl(kube_lab, "get", "pods", *where, "-l", "app=submariner-gateway", "-o", "name")
    (pod,) = names.stdout.split()
    assert "submariner-gateway version:" in kubectl(kube_lab, "logs", *where, pod).stdout
    done = kubectl(kube_lab, "exec", *where, pod, "--", "sh", "-c", "hostname; exit 7")
    assert (done.stdout, done.returncode) == ("c2-gw\n", 7)


# Exec and logs are one contract: the same answers through the embedded API server and through a genuine one.


@pytest.fixture(params=["lab", "kube_lab"])
def either_lab(request: pytest.FixtureRequest) -> RunningLab:
    found: RunningLab = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["websocket", "spdy"])
def exec_in_gateway(request: pytest.FixtureRequest, either_lab: RunningLab) -> Exec:
    """Runs a shell script in the gateway's pod of c2 by kubectl, over either protocol."""
    protocol = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "true" if request.param == "websocket" else "false"}
    where = ("-n", "submariner-operator")
    (pod,) = kubectl(either_lab, "get", "pods", *where, "-l", "app=submariner-gateway", "-o", "name").stdout.split()

    def run(*argv: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        command = ["kubectl", "--kubeconfig", either_lab.kubeconfig, "--context", "c2", *where, "exec"]
        command += [*(["-i"] if stdin is not None else []), pod, "--", *argv]
        environment = {**os.environ, **protocol}
        return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False, env=environment)

    return run


def test_exec_passes_on_exit_codes(exec_in_gateway: Exec) -> None:
    assert [exec_in_gateway("sh", "-c", f"exit {code}").returncode for code in (0, 1, 7, 255)] == [0, 1, 7, 255]


def test_exec_carries_large_streams_whole(exec_in_gateway: Exec) -> None:
    size = 5 << 20
    done = exec_in_gateway("sh", "-c", f"head -c {size} /dev/zero; head -c {size} /dev/zero >&2; exit 3")
    assert (len(done.stdout), done.returncode) == (size, 3)
    assert done.stderr.count(b"\0") == size


def test_exec_carries_input_to_its_end(exec_in_gateway: Exec) -> None:
    size = 5 << 20
    assert exec_in_gateway("sh", "-c", "wc -c", stdin=b"x" * size).stdout.strip() == str(size).encode()


def test_exec_says_that_a_program_is_missing(exec_in_gateway: Exec) -> None:
    done = exec_in_gateway("no-such-program")
    assert done.returncode != 0
    assert b"executable file not found in $PATH" in done.stderr


# What people read when something is wrong with the programs. etcd is a fake too where it does not matter.


def kube_refused(assets: Path, settings: str = "", path: str | None = None) -> str:
    environment = {"KUBEBUILDER_ASSETS": str(assets)} | ({"PATH": path} if path is not None else {})
    return refused(
        "--control-plane", "kube", "--clusters", "1", "--workers", "0", environment=environment, settings=settings
    )


@pytest.fixture
def without_peers(tmp_path: Path) -> str:
    """A PATH where neither program is: /usr/bin may have an etcd, so a folder of links to all the others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for source in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for entry in Path(source).iterdir() if Path(source).is_dir() else ():
            link = folder / entry.name
            if entry.name not in ("etcd", "kube-apiserver") and not link.is_symlink():
                link.symlink_to(entry)
    return str(folder)


@pytest.mark.parametrize(
    ("there", "missing", "source"),
    [
        ("kube-apiserver", "etcd", "the package etcd-server"),
        ("etcd", "kube-apiserver", "envtest (setup-envtest use) or a Kubernetes release"),
    ],
)
def test_a_missing_program_is_named_with_where_it_comes_from(
    there: str, missing: str, source: str, tmp_path: Path, without_peers: str
) -> None:
    program(tmp_path / "assets" / there, "#!/bin/sh\n")
    assert kube_refused(tmp_path / "assets", path=without_peers) == (
        f"--control-plane kube needs {missing}: it is neither in $KUBEBUILDER_ASSETS ({tmp_path}/assets) nor on PATH; "
        f"get it from {source}"
    )


def test_a_program_of_another_architecture_is_named(tmp_path: Path) -> None:
    bad = of_another_machine(tmp_path / "etcd")
    assert kube_refused(tmp_path) == f"--control-plane kube: {bad} does not start on this machine: Exec format error"


def test_an_etcd_that_ends_is_quoted(tmp_path: Path) -> None:
    program(tmp_path / "etcd", f"#!/bin/sh\n{VERSION}\necho 'cannot open the data folder' >&2\nexit 3\n")
    program(tmp_path / "kube-apiserver", f"#!/bin/sh\n{VERSION}\n")
    assert kube_refused(tmp_path) == "etcd ended with 3; the last it said:\ncannot open the data folder"


def fake_etcd(folder: Path) -> None:
    """Listens, and that is all."""
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', 2379)); time.sleep(600)"
    program(folder / "etcd", f'#!/bin/sh\n{VERSION}\nexec /usr/bin/env python3 -c "{listen}"\n')


def test_an_apiserver_that_ends_is_quoted(tmp_path: Path) -> None:
    fake_etcd(tmp_path)
    flag = "Error: unknown flag: --etcd-prefix"
    program(tmp_path / "kube-apiserver", f"#!/bin/sh\n{VERSION}\necho usage\necho '{flag}' >&2\nexit 1\n")
    assert kube_refused(tmp_path) == f"kube-apiserver-c1 ended with 1; the last it said:\nusage\n{flag}"


def test_an_apiserver_that_never_gets_ready_is_quoted(tmp_path: Path) -> None:
    fake_etcd(tmp_path)
    program(tmp_path / "kube-apiserver", f"#!/bin/sh\n{VERSION}\necho 'waiting for a hook'\nexec sleep 600\n")
    said = kube_refused(tmp_path, settings="controlplane.genuine._READY_DEADLINE_S=2")
    assert said == "kube-apiserver-c1 is not ready after 2 s; the last it said:\nwaiting for a hook"
