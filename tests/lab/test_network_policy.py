"""NetworkPolicies in a running lab, with packets: inside a cluster and from the other one."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from running_lab import RunningLab

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not in PATH")

SERVER, CLIENT = "policies-of-tests", "clients-of-tests"
WEB, ADMIN = 8080, 9090
DIAL = """
import socket, sys
for target in sys.argv[1:]:
    address, port = target.split(":")
    try:
        socket.create_connection((address, int(port)), timeout=0.5).close()
        print("open")
    except OSError as error:
        print(type(error).__name__)
"""


def traces(lab: RunningLab) -> list[str]:
    """Chains, rules and sets of policies on the server's node."""
    said = lab.run("c1-w1", "sh", "-c", "iptables-save; ipset list -n").stdout.decode().splitlines()
    return [line for line in said if any(name in line for name in ("KUBE-ROUTER", "KUBE-NWPLCY", "KUBE-SRC"))]


def kubectl(lab: RunningLab, cluster: str, *argv: str, given: Any = None) -> str:
    command = ["kubectl", f"--kubeconfig={lab.kubeconfig}", f"--context={cluster}", *argv]
    text = json.dumps(given) if given is not None else ""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pod(namespace: str, name: str, node: str, script: str) -> dict[str, Any]:
    ports = [{"name": "web", "containerPort": WEB}]
    container = {"name": "main", "image": "nettest", "command": ["sh", "-c", script], "ports": ports}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


class Shop:
    """A server on c1-w1 with two ports, clients in its namespace, in another one, and in the other cluster."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        serve = f"python3 -m http.server {WEB} & exec python3 -m http.server {ADMIN}"
        namespaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"of": name}}}
            for name in (SERVER, CLIENT)
        ]
        own = [pod(SERVER, "server", "c1-w1", serve), pod(SERVER, "client", "c1-gw", "sleep 600")]
        own.append(pod(CLIENT, "client", "c1-w1", "sleep 600"))
        self._create("c1", [*namespaces, *own])
        self._create("c2", [namespaces[1], pod(CLIENT, "client", "c2-w1", "sleep 600")])
        kubectl(lab, "c1", "wait", "--for=condition=Ready", "pod", "--all", "-n", SERVER, "--timeout=30s")
        self.ip = kubectl(lab, "c1", "get", "pod", "server", "-n", SERVER, "-o", "jsonpath={.status.podIP}")

    def _create(self, cluster: str, items: list[dict[str, Any]]) -> None:
        kubectl(self.lab, cluster, "create", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": items})

    def allow(self, *ingress: dict[str, Any], **spec: Any) -> None:
        """Replaces the policies of the server's namespace by one for the server."""
        spec = {"podSelector": {"matchLabels": {"app": "server"}}, "ingress": list(ingress), **spec}
        metadata = {"name": "of-server", "namespace": SERVER}
        policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
        kubectl(self.lab, "c1", "apply", "-f", "-", given=policy)

    def open_ports(self, place: str) -> set[int]:
        """The server's ports that answer somebody at `place`, a node or CLUSTER/NAMESPACE/POD."""
        targets = [f"{self.ip}:{port}" for port in (WEB, ADMIN)]
        said = self.lab.run(place, "python3", "-c", DIAL, *targets).stdout.decode().split()
        return {port for port, answer in zip((WEB, ADMIN), said, strict=True) if answer == "open"}

    def expect(self, place: str, ports: set[int]) -> None:
        """Policies follow the API within moments."""
        deadline = time.monotonic() + 10
        while (found := self.open_ports(place)) != ports and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found == ports

    def end(self) -> None:
        kubectl(self.lab, "c1", "delete", "namespace", SERVER, CLIENT, "--wait=false")
        kubectl(self.lab, "c2", "delete", "namespace", CLIENT, "--wait=false")


@pytest.fixture(scope="module")
def shop(lab: RunningLab) -> Iterator[Shop]:
    made = Shop(lab)
    made.expect(FRIEND, {WEB, ADMIN})
    yield made
    made.end()


FRIEND, STRANGER, REMOTE = f"c1/{SERVER}/client", f"c1/{CLIENT}/client", f"c2/{CLIENT}/client"


def test_deny_all_spares_the_own_node_and_what_is_established(shop: Shop) -> None:
    talk = f"import socket, time; s = socket.create_connection(('{shop.ip}', {WEB})); print('on', flush=True);"
    talk += " time.sleep(1.5); s.sendall(b'GET /none HTTP/1.0\\r\\n\\r\\n'); print(s.makefile().readline())"
    command = ["kubectl", f"--kubeconfig={shop.lab.kubeconfig}", "--context=c1", "exec", "-n", SERVER, "client", "--"]
    with subprocess.Popen([*command, "python3", "-c", talk], stdout=subprocess.PIPE, text=True) as old:
        assert old.stdout is not None
        assert old.stdout.readline() == "on\n"
        shop.allow()
        shop.expect(FRIEND, set())
        assert " 404 " in old.stdout.read()
    for place in (STRANGER, REMOTE, "c1-gw"):
        shop.expect(place, set())
    shop.expect("c1-w1", {WEB, ADMIN})


def test_a_namespace_and_a_named_port_are_let_in(shop: Shop) -> None:
    shop.allow({"from": [{"namespaceSelector": {"matchLabels": {"of": CLIENT}}}], "ports": [{"port": "web"}]})
    shop.expect(STRANGER, {WEB})
    shop.expect(FRIEND, set())
    shop.expect(REMOTE, set())


def test_the_other_cluster_is_let_in_by_its_pod_network(shop: Shop) -> None:
    shop.allow({"from": [{"ipBlock": {"cidr": "10.9.0.0/16"}}], "ports": [{"port": 9000, "endPort": 9100}]})
    shop.expect(REMOTE, {ADMIN})
    shop.expect(STRANGER, set())
    shop.allow({"from": [{"ipBlock": {"cidr": "10.9.0.0/16", "except": ["10.9.2.0/24"]}}]})
    shop.expect(REMOTE, set())


def test_egress_is_held_back_though_submariner_accepts_it(shop: Shop) -> None:
    shop.allow({}, policyTypes=["Ingress", "Egress"], egress=[{"to": [{"podSelector": {}}]}])
    remote = kubectl(shop.lab, "c2", "get", "pod", "client", "-n", CLIENT, "-o", "jsonpath={.status.podIP}")
    dial = ("python3", "-c", DIAL, f"{remote}:{WEB}")
    shop.expect(FRIEND, {WEB, ADMIN})
    assert shop.lab.run(f"c1/{SERVER}/server", *dial).stdout == b"TimeoutError\n"
    # Nobody listens there: a client that is not isolated is told so.
    assert shop.lab.run(FRIEND, *dial).stdout == b"ConnectionRefusedError\n"


def test_nothing_is_left_after_the_last_policy(shop: Shop) -> None:
    kubectl(shop.lab, "c1", "delete", "networkpolicy", "of-server", "-n", SERVER)
    shop.expect(REMOTE, {WEB, ADMIN})
    deadline = time.monotonic() + 5
    while (left := traces(shop.lab)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
