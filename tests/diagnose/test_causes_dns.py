"""Service discovery as objects tell it: found in several forms, silent on look-alikes and without Lighthouse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from encrypted_cables import connected
from observations import failing, found, healthy, suspicions

from pytest_submariner.diagnose.catalogue import CAUSES
from pytest_submariner.diagnose.causes import dns
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.corefile import forwards, has_zone
from pytest_submariner.diagnose.reasoning.untried import NAMES
from pytest_submariner.lab.faults.signatures import CABLE

OPERATOR = "submariner-operator"
LIGHTHOUSE_IP = {"c1": "100.8.0.53", "c2": "100.9.0.53"}
COREFILE = """\
#lighthouse-start AUTO-GENERATED SECTION. DO NOT EDIT
clusterset.local:53 {{
    forward . {ip}
}}
#lighthouse-end
.:53 {{
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
       pods insecure
    }}
    forward . /etc/resolv.conf {{
       max_concurrent 1000
    }}
    cache 30
}}
"""
DNS = [cause for cause in CAUSES if cause.code.startswith("DNS_")]
Objects = dict[str, list[dict[str, Any]]]


def meta(name: str, namespace: str = "web", **labels: str) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "labels": labels}


def condition(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, **more}


def slice_of(service: str, source: str, *addresses: str, headless: bool = False, name: str = "") -> dict[str, Any]:
    labels = {
        "endpointslice.kubernetes.io/managed-by": "lighthouse-agent.submariner.io",
        "multicluster.kubernetes.io/service-name": service,
        "multicluster.kubernetes.io/source-cluster": source,
        "lighthouse.submariner.io/sourceNamespace": "web",
        "lighthouse.submariner.io/is-headless": str(headless).lower(),
    }
    return {
        "metadata": meta(name or f"{service}-{source}", **labels),
        "endpoints": [{"addresses": [a]} for a in addresses],
    }


def own_slice(service: str, *addresses: str) -> dict[str, Any]:
    return {
        "metadata": meta(f"{service}-x7", **{"kubernetes.io/service-name": service}),
        "endpoints": [{"addresses": list(addresses)}],
    }


def deployment(name: str, replicas: int, available: int) -> dict[str, Any]:
    return {
        "metadata": meta(name, OPERATOR),
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": available},
    }


def discovery(position: str) -> Objects:
    """c1 exports `shop` and the headless `db` of namespace web; both clusters know them."""
    exporting = position == "c1"
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]

    def export(name: str) -> dict[str, Any]:
        return {"metadata": meta(name), "status": {"conditions": [condition("Valid"), condition("Ready")]}}

    return {
        "namespaces": [{"metadata": {"name": name}} for name in ("default", "web", OPERATOR)],
        "configmaps": [
            {
                "metadata": meta("coredns", "kube-system"),
                "data": {"Corefile": COREFILE.format(ip=LIGHTHOUSE_IP[position])},
            }
        ],
        "deployments": [
            deployment("submariner-lighthouse-coredns", 2, 2),
            deployment("submariner-lighthouse-agent", 1, 1),
        ],
        "services": [
            {
                "metadata": meta("submariner-lighthouse-coredns", OPERATOR),
                "spec": {"clusterIP": LIGHTHOUSE_IP[position], "ports": ports},
            },
            *([{"metadata": meta("shop"), "spec": {"clusterIP": "100.8.13.7"}}] if exporting else []),
            *([{"metadata": meta("db"), "spec": {"clusterIP": "None"}}] if exporting else []),
        ],
        "serviceexports": [export("shop"), export("db")] if exporting else [],
        "serviceimports": [
            {"metadata": meta("shop"), "spec": {"type": "ClusterSetIP"}},
            {"metadata": meta("db"), "spec": {"type": "Headless"}},
        ],
        "endpointslices": [
            slice_of("shop", "c1", "100.8.13.7"),
            slice_of("db", "c1", "10.8.1.20", "10.8.2.21", headless=True),
            *([own_slice("db", "10.8.1.20", "10.8.2.21")] if exporting else []),
        ],
    }


def discovering(**changes: Callable[[Objects], object]) -> Observation:
    """With Lighthouse; `changes` by position change its objects in place."""
    seen = healthy()
    for position, objects in seen.objects.items():
        made = discovery(position)
        if (change := changes.get(position)) is not None:
            change(made)
        found = {**objects.found, **{kind: tuple(items) for kind, items in made.items()}}
        seen = replace(seen, objects={**seen.objects, position: replace(objects, found=found)})
    return seen


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    return next(item for item in objects[kind] if item["metadata"]["name"] == name)


def without(objects: Objects, kind: str, name: str) -> None:
    objects[kind] = [item for item in objects[kind] if item["metadata"]["name"] != name]


def codes(seen: Observation) -> list[tuple[str, str]]:
    return [(code, cluster) for code, cluster, _ in found(seen)]


def test_silent_in_health() -> None:
    assert suspicions(discovering()) == []


def test_every_finding_says_that_no_name_was_asked() -> None:
    for _, suspicion in suspicions(discovering(c1=lambda o: without(o, "configmaps", "coredns"), c2=no_block), *DNS):
        assert NAMES in suspicion.state


def no_block(objects: Objects) -> None:
    objects["configmaps"][0]["data"]["Corefile"] = COREFILE.split("#lighthouse-end\n")[1].format()


def test_no_block_for_the_zone() -> None:
    assert codes(discovering(c2=no_block)) == [("DNS_FORWARD_MISSING", "c2")]


def test_a_block_in_the_place_for_additions() -> None:
    def custom(objects: Objects) -> None:
        no_block(objects)
        data = {"clusterset.server": f"clusterset.local:53 {{\n forward . {LIGHTHOUSE_IP['c2']}\n}}"}
        objects["configmaps"].append({"metadata": meta("coredns-custom", "kube-system"), "data": data})

    assert codes(discovering(c2=custom)) == []


def test_cluster_dns_that_is_not_known_proves_nothing() -> None:
    assert codes(discovering(c1=lambda o: without(o, "configmaps", "coredns"))) == []


def forwarding_to(ip: str) -> Callable[[Objects], object]:
    def change(objects: Objects) -> None:
        objects["configmaps"][0]["data"]["Corefile"] = COREFILE.format(ip=ip)

    return change


@pytest.mark.parametrize("ip", ["100.8.0.99", "100.8.0.99:53", "dns://100.8.0.99"])
def test_a_block_that_leads_elsewhere(ip: str) -> None:
    assert codes(discovering(c1=forwarding_to(ip))) == [("DNS_FORWARD_WRONG_IP", "c1")]


def test_the_service_has_another_address_now() -> None:
    def renewed(objects: Objects) -> None:
        named(objects, "services", "submariner-lighthouse-coredns")["spec"]["clusterIP"] = "100.9.200.1"

    assert codes(discovering(c2=renewed)) == [("DNS_FORWARD_WRONG_IP", "c2")]


def test_corefiles_and_stub_domains() -> None:
    assert forwards({"data": {"Corefile": COREFILE.format(ip="1.2.3.4:5353 1.2.3.5")}}) == ("1.2.3.4", "1.2.3.5")
    assert forwards({"data": {"stubDomains": '{"clusterset.local": ["1.2.3.4"], "corp": ["9.9.9.9"]}'}}) == ("1.2.3.4",)
    assert forwards({"data": {"stubDomains": "no json"}}) == ()
    assert has_zone({"data": {"x.server": "clusterset.local {\n}"}})
    assert not has_zone({"data": {"Corefile": ".:53 {\n}"}})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("submariner-lighthouse-coredns", {"spec": {"replicas": 0}, "status": {}}),
        ("submariner-lighthouse-agent", {"spec": {"replicas": 1}, "status": {"unavailableReplicas": 1}}),
    ],
)
def test_lighthouse_does_not_run(name: str, change: dict[str, Any]) -> None:
    seen = discovering(c1=lambda o: named(o, "deployments", name).update(change))
    [(code, suspicion)] = suspicions(seen)
    assert (code, suspicion.object) == ("DNS_LIGHTHOUSE_DOWN", f"Deployment {name}")
    assert codes(discovering(c1=lambda o: without(o, "deployments", name))) == [("DNS_LIGHTHOUSE_DOWN", "c1")]


def test_one_of_two_replicas_serves() -> None:
    assert codes(discovering(c1=lambda o: o["deployments"][0]["status"].update(availableReplicas=1))) == []


def add(kind: str, item: dict[str, Any]) -> Callable[[Objects], object]:
    return lambda objects: objects[kind].append(item)


NO_SERVICE = condition("Valid", "False", reason="ServiceUnavailable", message="Service to be exported doesn't exist")


@pytest.mark.parametrize("conditions", [[], [NO_SERVICE]], ids=["nobody looked", "refused"])
def test_an_export_without_a_service(conditions: list[dict[str, str]]) -> None:
    export = {"metadata": meta("ghost"), "status": {"conditions": conditions}}
    assert codes(discovering(c1=add("serviceexports", export))) == [("DNS_EXPORT_INVALID", "c1")]


def test_an_export_of_a_moment_ago_may_still_become_valid() -> None:
    young = {**NO_SERVICE, "lastTransitionTime": "2024-11-22T12:53:15Z"}
    export = {"metadata": meta("ghost"), "status": {"conditions": [young]}}
    assert healthy().objects["c1"].clock_s == 1_732_280_000  # 12:53:20
    assert codes(discovering(c1=add("serviceexports", export))) == []


def test_an_export_that_the_broker_did_not_take() -> None:
    failed = [condition("Valid"), condition("Ready", "False", reason="ExportFailed", message="broker: forbidden")]
    assert codes(discovering(c1=lambda o: named(o, "serviceexports", "shop")["status"].update(conditions=failed))) == [
        ("DNS_EXPORT_INVALID", "c1")
    ]


@pytest.mark.parametrize(
    ("kind", "name"), [("serviceimports", "shop"), ("endpointslices", "shop-c1"), ("serviceimports", "db")]
)
def test_an_import_that_is_missing(kind: str, name: str) -> None:
    assert codes(discovering(c2=lambda o: without(o, kind, name))) == [("DNS_IMPORT_MISSING", "c2")]


def test_a_cluster_without_the_namespace_imports_nothing() -> None:
    def elsewhere(objects: Objects) -> None:
        without(objects, "namespaces", "web")
        objects["serviceimports"], objects["endpointslices"] = [], []

    assert codes(discovering(c2=elsewhere)) == []


def test_a_slice_with_an_old_cluster_ip() -> None:
    def renewed(objects: Objects) -> None:
        named(objects, "services", "shop")["spec"]["clusterIP"] = "100.8.99.99"

    [(code, suspicion)] = suspicions(discovering(c1=renewed))
    assert (code, suspicion.object, suspicion.node.name) == (
        "DNS_ENDPOINTSLICE_STALE",
        "EndpointSlices of web/shop",
        "c1-gw",
    )


def test_a_slice_that_outlived_its_service() -> None:
    def deleted(objects: Objects) -> None:
        without(objects, "services", "shop")
        without(objects, "serviceexports", "shop")

    assert codes(discovering(c1=deleted)) == [("DNS_ENDPOINTSLICE_STALE", "c1")]


def test_services_that_were_not_read_prove_nothing() -> None:
    seen = discovering(c1=lambda o: without(o, "services", "shop"))
    objects = seen.objects["c1"]
    unread = replace(objects, found={kind: items for kind, items in objects.found.items() if kind != "services"})
    assert codes(replace(seen, objects={**seen.objects, "c1": unread})) == []


def test_a_headless_slice_with_a_pod_that_is_gone() -> None:
    def dead(objects: Objects) -> None:
        named(objects, "endpointslices", "db-c1")["endpoints"].append({"addresses": ["10.8.1.99"]})

    [(code, suspicion)] = suspicions(discovering(c2=dead))
    assert (code, suspicion.node.cluster) == ("DNS_HEADLESS_STALE_POD", "c1")
    assert "10.8.1.99" in suspicion.state[0]
    assert "10.8.1.20" not in suspicion.state[0]


def test_a_cluster_withheld_though_it_can_be_reached() -> None:
    seen = connected(discovering(), "c1", status="error", statusMessage="no handshake")
    assert codes(seen) == [("DNS_CLUSTER_WITHHELD", "c1")]
    assert suspicions(failing(seen, CABLE), dns.cluster_withheld) == []


def test_without_lighthouse_nothing_is_withheld() -> None:
    assert suspicions(connected(healthy(), "c1", status="error", statusMessage="no handshake"), *DNS) == []


def test_no_port_for_tcp() -> None:
    def udp_only(objects: Objects) -> None:
        named(objects, "services", "submariner-lighthouse-coredns")["spec"]["ports"].pop()

    assert codes(discovering(c1=udp_only)) == [("DNS_TCP53_BLOCKED", "c1")]


def test_exports_that_conflict() -> None:
    conflict = condition(
        "Conflict", reason="ConflictingPorts", message="the service ports conflict between clusters [c1, c2]"
    )
    assert codes(
        discovering(c1=lambda o: named(o, "serviceexports", "shop")["status"]["conditions"].append(conflict))
    ) == [("DNS_EXPORT_CONFLICT", "c1")]
