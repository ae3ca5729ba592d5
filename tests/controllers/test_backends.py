"""From a Service and pods to Endpoints and EndpointSlices."""

from __future__ import annotations

from typing import Any

from pytest_submariner.lab.controllers.backends import backends, endpoints, slices
from pytest_submariner.lab.controllers.mirroring import mirrored

Object = dict[str, Any]


def service(**spec: Any) -> Object:
    spec = {"selector": {"app": "web"}, "clusterIP": "100.8.0.10", "ports": [{"port": 80}], **spec}
    return {"metadata": {"name": "web", "namespace": "ns", "uid": "svc-uid", "labels": {"tier": "front"}}, "spec": spec}


def pod(
    name: str, ip: str, *, ready: bool = True, deleting: bool = False, phase: str = "Running", **spec: Any
) -> Object:
    metadata: Object = {"name": name, "namespace": "ns", "uid": f"{name}-uid", "labels": {"app": "web"}}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status: Object = {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]}
    if ip:
        status["podIP"] = ip
    return {"metadata": metadata, "spec": {"nodeName": "c1-w1", "containers": [{}], **spec}, "status": status}


def subsets(owner: Object, *pods: Object) -> list[Object]:
    found: list[Object] = endpoints(owner, backends(owner, pods))["subsets"]
    return found


def test_ready_and_unready_pods_are_told_apart() -> None:
    pods = [pod("b", "10.8.1.12"), pod("a", "10.8.1.9"), pod("c", "10.8.1.13", ready=False)]
    (subset,) = subsets(service(), *pods)
    assert [a["ip"] for a in subset["addresses"]] == ["10.8.1.9", "10.8.1.12"]
    assert [a["ip"] for a in subset["notReadyAddresses"]] == ["10.8.1.13"]
    assert subset["ports"] == [{"port": 80, "protocol": "TCP"}]
    assert subset["addresses"][0]["targetRef"] == {"kind": "Pod", "namespace": "ns", "name": "a", "uid": "a-uid"}
    assert subset["addresses"][0]["nodeName"] == "c1-w1"


def test_who_is_no_backend() -> None:
    other = pod("other", "10.8.1.1")
    other["metadata"]["labels"] = {"app": "db"}
    foreign = pod("foreign", "10.8.1.2")
    foreign["metadata"]["namespace"] = "elsewhere"
    assert subsets(service(), other, foreign, pod("new", ""), pod("done", "10.8.1.3", phase="Succeeded")) == []
    assert subsets(service(selector=None), pod("a", "10.8.1.9")) == []


def test_a_leaving_pod_is_in_the_slice_only() -> None:
    leaving = pod("a", "10.8.1.9", deleting=True)
    assert subsets(service(), leaving) == []
    (found,) = slices(service(), backends(service(), [leaving]))
    assert found["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}


def test_unready_pods_are_published_when_asked_for() -> None:
    owner = service(publishNotReadyAddresses=True)
    (subset,) = subsets(owner, pod("a", "10.8.1.9", ready=False))
    assert [a["ip"] for a in subset["addresses"]] == ["10.8.1.9"]


def test_a_named_port_is_each_pods_own() -> None:
    owner = service(ports=[{"name": "http", "port": 80, "targetPort": "web"}])
    pods = [
        pod("a", "10.8.1.9", containers=[{"ports": [{"name": "web", "containerPort": 8080}]}]),
        pod("b", "10.8.1.10", containers=[{}, {"ports": [{"name": "web", "containerPort": 9090}]}]),
        pod("c", "10.8.1.11", containers=[{"ports": [{"name": "web", "containerPort": 53, "protocol": "UDP"}]}]),
    ]
    found = {
        tuple(p["port"] for p in s.get("ports", ())): [a["ip"] for a in s["addresses"]] for s in subsets(owner, *pods)
    }
    assert found == {(8080,): ["10.8.1.9"], (9090,): ["10.8.1.10"], (): ["10.8.1.11"]}
    assert len(slices(owner, backends(owner, pods))) == 3


def test_headless() -> None:
    owner = service(clusterIP="None", ports=[])
    named = pod("a", "10.8.1.9", hostname="web-0", subdomain="web")
    body = endpoints(owner, backends(owner, [named]))
    assert body["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert body["subsets"][0]["addresses"][0]["hostname"] == "web-0"
    assert "ports" not in body["subsets"][0]


def test_a_slice_names_its_service_owner_and_manager() -> None:
    (found,) = slices(service(), [])
    assert found["metadata"]["labels"] == {
        "tier": "front",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert found["metadata"]["ownerReferences"][0]["uid"] == "svc-uid"
    assert (found["endpoints"], found["ports"], found["addressType"]) == ([], [], "IPv4")


def test_endpoints_written_by_hand_are_mirrored() -> None:
    written: Object = {
        "metadata": {"name": "web", "namespace": "ns", "uid": "ep-uid"},
        "subsets": [
            {
                "addresses": [{"ip": "1.2.3.4", "hostname": "h"}],
                "notReadyAddresses": [{"ip": "1.2.3.5"}],
                "ports": [{"port": 53, "protocol": "UDP"}],
            }
        ],
    }
    (found,) = mirrored(written)
    assert found["ports"] == [{"name": "", "port": 53, "protocol": "UDP"}]
    assert [(e["addresses"], e["conditions"]["ready"]) for e in found["endpoints"]] == [
        (["1.2.3.4"], True),
        (["1.2.3.5"], False),
    ]
    written["metadata"]["labels"] = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    assert mirrored(written) == []
    assert mirrored(None) == []
