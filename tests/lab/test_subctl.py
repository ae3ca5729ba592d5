"""Stock subctl on the lab: what it shows is true, what it finds is listed, and its verdicts are ours."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import peers
import pytest
from running_lab import RunningLab
from subctl_output import by_cluster, problems, tables

from pytest_submariner.kube.client import KubeClient
from pytest_submariner.lab.spec import ClusterSpec, LabSpec
from pytest_submariner.lab.submariner.objects import VERSION

ROOT = Path(__file__).parents[2]
SPEC = LabSpec.make("default")
"""The layout of a lab booted without options: what is true."""
EXPECTED_PROBLEMS = {
    '✗ Checking DaemonSet "submariner-metrics-proxy"',
    '✗ Error obtaining Daemonset "submariner-metrics-proxy": daemonsets.apps "submariner-metrics-proxy" not found',
    "✗ Checking that gateway metrics are accessible from non-gateway nodes",
    "✗ Unable to access gateway metrics service in submariner-operator namespace: Unexpected output",
    "⚠ Submariner service discovery feature is not installed",
}
"""All that `diagnose all` has to say about a healthy lab: parts that do not run there (docs/known-limitations.md). Texts are compared up
to the output a probe printed."""
SNAT = "SUBMARINER-POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.2.1"
TCP_09 = "hostpod.ngw.c1--pod.ngw.c2--tcp"


@dataclass(frozen=True)
class Stock:
    """A lab, and subctl on it. The `diagnoses`, by cluster, were started with the lab: each waits a minute for names nobody serves."""

    lab: RunningLab
    program: Path
    version: str
    diagnoses: dict[str, subprocess.Popen[str]]

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *argv], env=environment(self.lab), capture_output=True, text=True, timeout=120, check=False
        )

    def show(self, what: str) -> str:
        done = self.run("show", what)
        assert done.returncode == 0, done.stderr
        return done.stdout


def environment(lab: RunningLab) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": lab.kubeconfig}


def boot(name: str, version: str, *options: str) -> Iterator[Stock]:
    program = peers.subctl()
    lab = RunningLab.boot(f"tests-{name}-{os.getpid()}", *options)
    with ExitStack() as running:
        running.callback(lab.down)
        diagnoses = {}
        for context in lab.contexts:
            diagnoses[context] = running.enter_context(diagnose(program, lab, context))
            running.callback(diagnoses[context].kill)
        yield Stock(lab, program, version, diagnoses)


def diagnose(program: Path, lab: RunningLab, context: str) -> subprocess.Popen[str]:
    argv = [str(program), "diagnose", "all", "--context", context, "--validation-timeout", "10"]
    return subprocess.Popen(
        argv, env=environment(lab), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )


@pytest.fixture(scope="module")
def modelled() -> Iterator[Stock]:
    yield from boot("subctl", VERSION)


@pytest.fixture(scope="module")
def genuine() -> Iterator[Stock]:
    """Nothing of the cluster is ours but nodes and kubelet."""
    peers.kube_apiserver()
    agents = ("--submariner", "agents", "--agents-dir", str(peers.agents_dir()))
    yield from boot("subctl-kube", peers.agents_version(), "--control-plane", "kube", *agents)


@pytest.fixture(params=["modelled", "genuine"])
def stock(request: pytest.FixtureRequest) -> Stock:
    found: Stock = request.getfixturevalue(request.param)
    return found


def other(cluster: ClusterSpec) -> ClusterSpec:
    return next(c for c in SPEC.clusters if c != cluster)


# --- show


def test_connections_are_those_of_the_lab(stock: Stock) -> None:
    shown = tables(stock.show("connections"))
    assert set(shown) == {"c1", "c2"}
    for cluster in SPEC.clusters:
        (row,) = shown[cluster.name]
        remote = other(cluster)
        (gateway,) = remote.gateways
        rtt = row.pop("RTT avg.")
        assert re.fullmatch(r"[\d.]+(µs|ms)", rtt), rtt
        assert row == {
            "GATEWAY": gateway.name,
            "CLUSTER": remote.name,
            "REMOTE IP": gateway.ip,
            "NAT": "no",
            "CABLE DRIVER": "vxlan",
            "SUBNETS": f"{remote.service_cidr}, {remote.pod_cidr}",
            "STATUS": "connected",
        }


def test_gateways_are_active_and_connected(stock: Stock) -> None:
    summary = "All connections (1) are established"
    assert tables(stock.show("gateways")) == {
        c.name: [{"NODE": c.gateways[0].name, "HA STATUS": "active", "SUMMARY": summary}] for c in SPEC.clusters
    }


def test_endpoints_are_one_local_and_one_remote(stock: Stock) -> None:
    shown = tables(stock.show("endpoints"))
    for cluster in SPEC.clusters:
        rows = [(row["TYPE"], row["CLUSTER"], row["ENDPOINT IP"], row["CABLE DRIVER"]) for row in shown[cluster.name]]
        assert rows == [
            (kind, c.name, c.gateways[0].ip, "vxlan") for kind, c in (("local", cluster), ("remote", other(cluster)))
        ]


def test_networks_are_those_of_the_lab(stock: Stock) -> None:
    shown = by_cluster(stock.show("networks"))
    for cluster in SPEC.clusters:
        assert [line.split() for line in shown[cluster.name][1:]] == [
            ["Network", "plugin:", "kindnet"],
            ["Service", "CIDRs:", f"[{cluster.service_cidr}]"],
            ["Cluster", "CIDRs:", f"[{cluster.pod_cidr}]"],
        ]


def test_versions_are_those_that_run(stock: Stock) -> None:
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    truth = {"REPOSITORY": "localhost", "CONFIGURED": stock.version, "RUNNING": stock.version, "ARCH": arch}
    rows = [{"COMPONENT": name, **truth} for name in ("submariner-gateway", "submariner-routeagent")]
    assert tables(stock.show("versions")) == {"c1": rows, "c2": rows}


def test_lab_describes_the_same_nodes(stock: Stock) -> None:
    """`submariner-lab status` and SPEC, which the tables are held against, are one."""
    told = [(n["name"], n["cluster"], n["ip"], n["role"] == "gateway") for n in stock.lab.nodes]
    assert told == [(n.name, n.cluster, n.ip, n.gateway) for n in SPEC.nodes]


# --- gather


def test_gather_finds_everything_that_runs(stock: Stock, tmp_path: Path) -> None:
    done = stock.run("gather", "--dir", str(tmp_path / "gathered"))
    assert done.returncode == 0
    assert "✗" not in done.stderr + done.stdout
    for cluster in SPEC.clusters:
        folder = tmp_path / "gathered" / cluster.name
        names = {file.name for file in folder.iterdir()}
        for node in cluster.nodes:
            wanted = {f"{node.name}_{name}.log" for name in ("ip-a", "ip-routes", "iptables-save", "ipset-list")}
            assert wanted <= names
            assert "vx-submariner" in (folder / f"{node.name}_ip-a.log").read_text()
        assert f"gateways_submariner-operator_{cluster.gateways[0].name}.yaml" in names
        assert any(name.startswith("submariner-gateway-") for name in names)
        for namespace in ("submariner-operator", "submariner-k8s-broker"):
            for kind in ("endpoints", "clusters"):
                assert len([n for n in names if n.startswith(f"{kind}_{namespace}_")]) == 2, (kind, namespace)


def test_gather_keeps_the_broker_s_token_to_itself(stock: Stock, tmp_path: Path) -> None:
    stock.run("gather", "--dir", str(tmp_path), "--module", "operator", "--contexts", "c1")
    resource = (tmp_path / "c1" / "submariners_submariner-operator_submariner.yaml").read_text()
    kube = KubeClient(stock.lab.kubeconfig, "c1")
    installed = kube.get("submariners.submariner.io", "submariner", namespace="submariner-operator")
    assert installed is not None
    assert installed["spec"]["brokerK8sApiServerToken"] not in resource


# --- verify, and diagnose last: it has been waiting since the labs were booted


def test_verify_passes_and_so_do_we(stock: Stock, tmp_path: Path) -> None:
    status, results, said = stock.lab.pytest(["suites/parity", f"--submariner-subctl={stock.program}"], tmp_path)
    assert status == 0, said
    comparison = results["comparison"]
    assert (comparison["agree"], comparison["disagree"]) == (12, 0)
    assert {spec["subctl"] for spec in comparison["specs"] if spec["agree"]} == {"passed"}
    assert (tmp_path / "subctl-verify.junit.xml").is_file()


def test_verdicts_agree_with_a_fault(modelled: Stock, tmp_path: Path) -> None:
    """The quickest: only one spec sees it."""
    assert modelled.lab.run("c1-w1", *f"iptables -t nat -D {SNAT}".split()).returncode == 0
    try:
        status, results, said = modelled.lab.pytest(
            ["suites/parity", f"--submariner-subctl={modelled.program}"], tmp_path
        )
    finally:
        assert modelled.lab.run("c1-w1", *f"iptables -t nat -I {SNAT}".split()).returncode == 0
    assert status == 0, said
    comparison = results["comparison"]
    assert (comparison["agree"], comparison["disagree"]) == (12, 0)
    failed = {s["path_id"]: (s["subctl"], s["ours"]) for s in comparison["specs"] if s["subctl"] == "failed"}
    assert failed == {TCP_09: ("failed", "blocked")}


def test_interrupted_run_leaves_no_namespace_and_no_process(modelled: Stock, tmp_path: Path) -> None:
    # A shell's background job, which we may be part of, ignores SIGINT.
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "pytest", "suites/parity", "-p", "no:cacheprovider"]
    argv += [f"--submariner-lab={modelled.lab.name}", f"--submariner-subctl={modelled.program}"]
    argv += [f"--submariner-results={tmp_path / 'results.json'}"]
    log = tmp_path / "subctl-verify.log"
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not (log.exists() and "Creating a connector pod" in log.read_text()):
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == pytest.ExitCode.INTERRUPTED
    assert str(tmp_path) not in "".join(command_lines())
    for context in modelled.lab.contexts:
        kube = KubeClient(modelled.lab.kubeconfig, context)
        while left := [n for n in names(kube) if n.startswith("e2e-tests-")]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


def test_diagnose_finds_what_does_not_run_here_and_nothing_else(stock: Stock) -> None:
    for running in stock.diagnoses.values():
        said, _ = running.communicate(timeout=150)
        assert running.returncode == 1, said
        assert "panic" not in said
        assert "Skipping inter-cluster firewall check" in said
        # What a probe printed follows, and differs.
        short = {re.sub("(?<=Unexpected output).*", "", problem) for problem in problems(said)}
        assert short == EXPECTED_PROBLEMS


def names(kube: KubeClient) -> list[str]:
    return [str(namespace["metadata"]["name"]) for namespace in kube.list("namespaces")]


def command_lines() -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield entry.read_text(errors="replace")
        except OSError:
            continue  # it ended
