"""Figures under load: the agent for real on the loopback, and the prober against agents that answer what a test wants."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from probe_cluster import ProbeCluster

from pytest_submariner.errors import ExitStatusLost, ProbeInconclusive, TransportError
from pytest_submariner.model.performance import Figure, LoadCase, Measure, State
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.paths.loads import STREAMS, baseline, loads
from pytest_submariner.probes.conversation import read_lines
from pytest_submariner.probes.pods import source_of
from pytest_submariner.probes.throughput import COMMAND, LoadProber

NONCE = "n" * 32
CROSS = "pod.ngw.c1--pod.ngw.c2--tcp--throughput-10"
INTRA = "pod.ngw.c1--pod.gw.c1--tcp--throughput-10"
GOOD = {"mbit_s": 900.0, "bytes": 112500000, "seconds": 1.0, "streams": 10, "retransmits": 3, "segment_bytes": 1360}


def line(**request: Any) -> bytes:
    return json.dumps({"source": source_of("loadagent"), "nonce": NONCE, **request}).encode() + b"\n"


def environment(folder: Path) -> dict[str, str]:
    """`python3` on PATH is the interpreter of the tests."""
    (folder / "python3").symlink_to(sys.executable)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


@contextlib.contextmanager
def server(env: dict[str, str], nonce: str = NONCE) -> Iterator[int]:
    """The port of a server which runs as it does in a pod."""
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line(mode="serve", timeout_s=30.0, **({"nonce": nonce} if nonce != NONCE else {})))
        process.stdin.flush()
        yield json.loads(process.stdout.readline())["hello"]["port"]
        process.stdin.close()
        assert process.wait(5) == 0, "the server ends when stdin does"


def ask(env: dict[str, str], *, inside: Sequence[str] = (), **request: Any) -> dict[str, Any]:
    done = subprocess.run(
        [*inside, *COMMAND],
        input=line(address="127.0.0.1", **request),
        capture_output=True,
        env=env,
        timeout=30,
        check=True,
    )
    answer: dict[str, Any] = read_lines(done.stdout.splitlines(), NONCE)[-1]["answer"]
    return answer


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@pytest.mark.parametrize("streams", [1, 10])
def test_throughput_is_counted_by_the_receiver(env: dict[str, str], streams: int) -> None:
    with server(env) as port:
        answer = ask(env, mode="throughput", port=port, streams=streams, omit_s=0.05, seconds=0.2)
    assert answer["streams"] == streams
    assert 0.2 <= answer["seconds"] < 2
    assert answer["mbit_s"] == pytest.approx(answer["bytes"] * 8 / answer["seconds"] / 1e6, rel=0.01)
    assert answer["bytes"] > 1_000_000
    assert answer["segment_bytes"] > 500


def test_tcp_round_trips(env: dict[str, str]) -> None:
    with server(env) as port:
        answer = ask(env, mode="tcp", port=port, samples=100, seconds=5.0)
    rtt = answer["rtt_ms"]
    assert answer["samples"] == 100
    assert 0 < rtt["min"] <= rtt["p50"] <= rtt["p90"] <= rtt["p99"] <= rtt["max"]


PINGABLE = (
    "unshare",
    "-rn",
    "sh",
    "-c",
    'ip link set lo up && echo "0 0" > /proc/sys/net/ipv4/ping_group_range && exec "$@"',
    "sh",
)
"""A network namespace whose loopback answers and whose pods may open ping sockets, as container runtimes make them."""


def test_icmp_round_trips(env: dict[str, str]) -> None:
    if subprocess.run([*PINGABLE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces and iproute2")
    answer = ask(env, inside=PINGABLE, mode="icmp", samples=20, seconds=5.0, pause_s=0.001)
    assert (answer["samples"], answer["lost"]) == (20, 0)


def test_icmp_without_the_right_to_ask_says_why(env: dict[str, str]) -> None:
    closed = ("unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    if subprocess.run([*closed, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces and iproute2")
    answer = ask(env, inside=closed, mode="icmp", samples=20, seconds=5.0, pause_s=0.001)
    assert answer["failed"] == "unable"
    assert "ping_group_range" in answer["error"]


@pytest.mark.parametrize("mode", ["throughput", "tcp"])
def test_nobody_listens(env: dict[str, str], mode: str) -> None:
    answer = ask(env, mode=mode, port=1, streams=2, omit_s=0.0, seconds=0.1, samples=5)
    assert answer["failed"] == "connect"
    assert "ECONNREFUSED" in answer["error"]


def test_a_server_serves_only_who_knows_the_nonce(env: dict[str, str]) -> None:
    with server(env, nonce="other") as port:
        assert ask(env, mode="tcp", port=port, samples=5, seconds=1.0)["failed"] == "broken"


def test_an_image_without_python_says_so(tmp_path: Path) -> None:
    shell = tmp_path / "sh"
    shell.symlink_to("/bin/sh")
    done = subprocess.run(COMMAND, input=b"{}\n", capture_output=True, env={"PATH": str(tmp_path)}, check=False)
    assert done.returncode == 99


# The prober


class LoadCluster(ProbeCluster):
    """`answers` of the agents by id of the target's address; a list is answered in turn, an exception is raised."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.answers: dict[str, list[dict[str, Any] | Exception]] = defaultdict(list)
        self.asked: list[str] = []

    def converse(
        self,
        namespace: str,
        pod: str,
        container: str | None,
        argv: Sequence[str],
        *,
        first_line: bytes,
        timeout: float,
        patience: float | None = None,
    ) -> Iterator[bytes]:
        request = json.loads(first_line)
        if request["mode"] == "serve":
            yield b'{"hello":{"port":4711}}'
            return
        self.asked.append(f"{pod} {request['mode']} {request.get('streams', '')}".strip())
        answer = self.answers[pod].pop(0) if self.answers[pod] else GOOD
        if isinstance(answer, Exception):
            raise answer
        spoken = [b'{"hello":{}}', json.dumps({"answer": answer}).encode()]
        yield from spoken
        digest = hashlib.sha256(b"".join(said + b"\n" for said in spoken)).hexdigest()
        yield json.dumps({"trailer": {"nonce": request["nonce"], "digest": digest}}).encode()


def topology(*, workers: bool = True) -> Topology:
    def cluster(position: str) -> Cluster:
        nodes = [Node(f"{position}-gw", position, Role.GATEWAY, "172.18.0.1")]
        nodes += [Node(f"{position}-w1", position, Role.NON_GATEWAY, "172.18.0.2")] if workers else []
        return Cluster(position, position, None, position, tuple(nodes))

    return Topology((cluster("c1"), cluster("c2")), "fake")


class Bench:
    def __init__(self, *, workers: bool = True) -> None:
        self.clusters = {f"c{number}": LoadCluster(number) for number in (1, 2)}
        settings = SimpleNamespace(image="some/image", keep=False, performance_time=0.1)
        self.prober = LoadProber(
            topology(workers=workers),
            self.clusters.__getitem__,  # type: ignore[arg-type]
            settings,
            run_id="r",
        )

    def measure(self, load: str) -> Figure:
        return self.prober.measure(LoadCase.parse(load))


def test_a_figure_between_clusters_is_compared_with_one_inside() -> None:
    bench = Bench()
    bench.clusters["c1"].answers["pod-c1-w1"] = [{**GOOD, "mbit_s": 400.0}, {**GOOD, "mbit_s": 1000.0}]
    figure = bench.measure(CROSS)
    assert (figure.state, figure.mbit_s, figure.intra_id, figure.ratio) == (State.MEASURED, 400.0, INTRA, 0.4)
    assert (figure.source_node, figure.target_node) == ("c1-w1", "c2-w1")
    assert "c1-w1 → c2-w1" in figure.detail
    assert bench.measure(INTRA).mbit_s == 1000.0
    assert bench.clusters["c1"].asked == ["pod-c1-w1 throughput 10"] * 2, "what is known is not measured again"


def test_a_cluster_without_workers_is_a_skip_that_says_so() -> None:
    bench = Bench(workers=False)
    figure = bench.measure(CROSS)
    assert figure.state is State.SKIPPED
    assert "needs a non-gateway node in c1" in figure.detail
    gateways = bench.measure("pod.gw.c1--pod.gw.c2--tcp--throughput-1")
    assert gateways.state is State.MEASURED
    assert gateways.ratio is None


@pytest.mark.parametrize(
    ("trouble", "state", "text"),
    [
        ([{"failed": "connect", "error": "no answer within 5 s"}], State.FAILED, "no answer within 5 s"),
        ([{"failed": "unable", "error": "no ping socket"}], State.SKIPPED, "no ping socket"),
        ([{"mbit_s": "many"}], State.ERROR, "cannot be read"),
        ([TransportError("`sh` ended with status 99")], State.SKIPPED, "some/image has none"),
        ([TransportError("pod exec: no")], State.ERROR, "could not measure: pod exec: no"),
        ([ExitStatusLost("gone"), ExitStatusLost("gone")], State.ERROR, "gone"),
        ([ProbeInconclusive("damaged")], State.ERROR, "damaged"),
    ],
)
def test_what_is_no_figure_says_why(trouble: list[dict[str, Any] | Exception], state: State, text: str) -> None:
    bench = Bench()
    bench.clusters["c1"].answers["pod-c1-w1"] = trouble
    figure = bench.measure(INTRA)
    assert figure.state is state
    assert text in figure.detail
    assert not figure.has_value


def test_only_could_not_ask_is_asked_again() -> None:
    bench = Bench()
    bench.clusters["c1"].answers["pod-c1-w1"] = [ExitStatusLost("gone")]
    assert bench.measure(INTRA).state is State.MEASURED
    assert len(bench.clusters["c1"].asked) == 2


def test_the_pods_go_at_the_end() -> None:
    bench = Bench()
    bench.measure(INTRA)
    assert bench.clusters["c1"].namespaces
    bench.prober.close()
    assert not bench.clusters["c1"].namespaces


def test_ids_and_data_have_inverses() -> None:
    for measure in Measure:
        for case in loads(("c1", "c2", "c3"), measure):
            assert LoadCase.parse(case.id) == case
            inside = baseline(case)
            assert (inside is None) != case.path.is_cross_cluster
            assert inside is None or inside in loads(("c1", "c2", "c3"), measure)
    bench = Bench()
    bench.clusters["c1"].answers["pod-c1-w1"] = [
        {"rtt_ms": dict.fromkeys(("min", "mean", "p50", "p90", "p99", "max"), 0.5), "samples": 9, "lost": 1}
    ]
    for figure in (bench.measure("pod.ngw.c1--pod.gw.c1--icmp--latency"), bench.measure(CROSS)):
        assert Figure.from_dict(json.loads(json.dumps(figure.to_dict()))) == figure
    with pytest.raises(ValueError, match="throughput-STREAMS"):
        LoadCase.parse("pod.gw.c1--pod.gw.c2--tcp")


def test_one_stream_and_ten() -> None:
    assert STREAMS == (1, 10)
    assert len(loads(("c1", "c2"), Measure.THROUGHPUT)) == 12
