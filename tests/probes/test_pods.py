"""Manifests: what Pod Security says of them, and how the agent travels."""

from __future__ import annotations

import ast
import json
import sys

import pytest

from pytest_submariner.kube import ownership
from pytest_submariner.probes import pods
from pytest_submariner.probes.pods import Place

WORKER = Place("c1", "c1-w1")
HOST = Place("c1", "c1-w1", host_network=True)


def container(place: Place) -> dict[str, object]:
    found: dict[str, object] = pods.pod(place, "ab12", "python")["spec"]["containers"][0]
    return found


def test_pod_network_pods_are_restricted() -> None:
    """The checks of Pod Security `restricted` (Kubernetes documentation: Pod Security Standards)."""
    spec = pods.pod(WORKER, "ab12", "python")["spec"]
    assert not spec["hostNetwork"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert [s["name"] for s in spec["securityContext"]["sysctls"]] == ["net.ipv4.ping_group_range"]
    context = spec["containers"][0]["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_host_network_pods_get_one_capability() -> None:
    spec = pods.pod(HOST, "ab12", "python")["spec"]
    assert spec["hostNetwork"]
    assert "sysctls" not in spec["securityContext"]
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}


def test_whoever_finds_them_knows_owner_run_and_lifetime() -> None:
    space = pods.namespace("ab12", now=1000.0)["metadata"]
    assert space["name"] == "submariner-conformance-ab12"
    assert space["labels"]["app.kubernetes.io/managed-by"] == "pytest-submariner"
    assert space["annotations"][ownership.EXPIRES_ANNOTATION] == str(1000 + pods.LIFETIME_S)
    made = pods.pod(WORKER, "ab12", "python")
    assert made["metadata"]["labels"][pods.RUN_LABEL] == "ab12"
    assert made["spec"]["activeDeadlineSeconds"] == pods.LIFETIME_S


@pytest.mark.parametrize("module", ["agent", "watcher"])
def test_the_agents_travel_in_a_variable(module: str) -> None:
    text = pods.source_of(module)
    # One string of an environment may have 128 KiB (Linux, MAX_ARG_STRLEN); Kubernetes expands $(NAME) and $$ in it.
    assert len(text.encode()) < 100_000
    assert "$(" not in text
    assert "$$" not in text


@pytest.mark.parametrize("module", ["agent", "watcher"])
def test_the_agents_need_nothing_but_an_old_python(module: str) -> None:
    tree = ast.parse(pods.source_of(module), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    assert not [n for n in imported if n.startswith("pytest_submariner")]


def test_only_host_network_pods_carry_the_watcher() -> None:
    assert "SUBMARINER_PROBE_WATCHER" not in json.dumps(container(WORKER))
    assert "SUBMARINER_PROBE_WATCHER" in json.dumps(container(HOST))


def test_names_are_valid_and_tell_nodes_apart() -> None:
    names = [
        Place("c1", "ip-10-0-0-1.eu-west-1.compute.internal").pod,
        Place("c1", "ip-10-0-0-1-eu-west-1-compute-internal").pod,
        Place("c1", "n" * 250).pod,
        WORKER.pod,
        HOST.pod,
        Place("c1", "c1-w1", peer=True).pod,
    ]
    assert len(set(names)) == len(names)
    for name in names:
        assert len(name) <= 63 - len("svc-")
        assert name.strip("-").replace("-", "").isalnum()


def test_a_service_has_one_pod_behind_it() -> None:
    service = pods.service(WORKER, "ab12")
    assert service["spec"]["selector"] == {pods.PROBE_LABEL: "pod-c1-w1"}
    assert {p["protocol"]: p["port"] for p in service["spec"]["ports"]} == dict.fromkeys(
        ("TCP", "UDP"), pods.listener_port("ab12")
    )


def test_ports_stay_clear_of_nodeports_and_ephemeral_ports() -> None:
    ports = {pods.listener_port(f"run{i}") for i in range(500)}
    assert min(ports) >= 29000
    assert max(ports) < 30000
    assert len(ports) > 300
