"""Causes of routing: named alone where they are, in more than one form, and not where something else looks like them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from observations import changed, failing, found, healthy, of_layers, suspicions, told, unread, with_facts

from pytest_submariner.diagnose.catalogue import BY_CODE
from pytest_submariner.diagnose.cause import Layer
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.lab.faults.signatures import CABLE, NODE, NODE_IN, Signature
from pytest_submariner.model.nodestate import Link, Route, Rule

Change = Callable[[Observation], Observation]
OWN = of_layers(Layer.OVERLAY, Layer.ROUTE, Layer.HOST)
VX, UL, RPOD, RSVC = "vx-submariner", "eth0", "10.9.0.0/16", "100.9.0.0/16"
TO_PODS = Signature(("{{pod,hostpod}}.ngw.{a}--pod.*.{b}--*",)) | NODE_IN
FROM_HOST = Signature(("hostpod.gw.{a}--{{pod,svc}}.ngw.{b}--*",))


def routes(node: str, *new: Route, without: tuple[str, ...] = (), table: str = "main") -> Change:
    """Without those for these destinations in a table, and with new ones."""
    return lambda seen: changed(
        seen,
        node,
        routes=lambda old: [*(r for r in old if r.table != table or r.destination not in without), *new],
    )


def rules(node: str, *new: Rule, without: tuple[str, ...] = ()) -> Change:
    return lambda seen: changed(seen, node, rules=lambda old: [*(r for r in old if r.table not in without), *new])


def both(*changes: Change) -> Change:
    def change(seen: Observation) -> Observation:
        for step in changes:
            seen = step(seen)
        return seen

    return change


def each(*destinations: str, **values: object) -> list[Route]:
    return [Route(destination, **values) for destination in destinations]  # type: ignore[arg-type]


ALL = (RPOD, RSVC)
FAULTS: dict[str, tuple[str, str, Signature, Change]] = {
    "no route to pods": ("ROUTE_REMOTE_CIDR_MISSING", "c1-w1", TO_PODS, routes("c1-w1", without=(RPOD,))),
    "no route at all": ("ROUTE_REMOTE_CIDR_MISSING", "c1-w1", NODE, routes("c1-w1", without=(*ALL, "default"))),
    "in a table nobody asks": (
        "ROUTE_REMOTE_CIDR_MISSING",
        "c1-w1",
        TO_PODS,
        routes("c1-w1", Route(RPOD, VX, table="77", gateway="240.18.1.1"), without=(RPOD,)),
    ),
    "only a shorter prefix is left": (
        "ROUTE_REMOTE_CIDR_MISSING",
        "c1-w1",
        TO_PODS,
        routes("c1-w1", Route("10.0.0.0/8", UL, gateway="172.18.0.9"), without=(RPOD,)),
    ),
    "the cable's table of the gateway is empty": (
        "ROUTE_REMOTE_CIDR_MISSING",
        "c1-gw",
        CABLE,
        routes("c1-gw", without=ALL, table="100"),
    ),
    "next hop of a former gateway": (
        "ROUTE_NEXTHOP_OLD_GATEWAY",
        "c1-w1",
        NODE,
        routes("c1-w1", *each(*ALL, device=VX, gateway="240.18.250.250", protocol="static"), without=ALL),
    ),
    "no next hop": (
        "ROUTE_NEXTHOP_OLD_GATEWAY",
        "c1-w1",
        NODE,
        routes("c1-w1", *each(*ALL, device=VX, scope="link"), without=ALL),
    ),
    "learned by BGP": (
        "ROUTE_REPLACED_BY_CNI",
        "c1-w1",
        NODE,
        routes("c1-w1", *each(*ALL, device=UL, gateway="172.18.0.1", protocol="bird"), without=ALL),
    ),
    "learned with a metric, by another daemon": (
        "ROUTE_REPLACED_BY_CNI",
        "c1-w1",
        NODE,
        routes("c1-w1", *each(*ALL, device=UL, gateway="172.18.0.1", protocol="zebra", metric=20), without=ALL),
    ),
    "learned in halves": (
        "ROUTE_REPLACED_BY_CNI",
        "c1-w1",
        TO_PODS,
        routes("c1-w1", *each("10.9.0.0/17", "10.9.128.0/17", device=UL, gateway="172.18.0.1", protocol="bird")),
    ),
    "a leftover table of IPsec": (
        "ROUTE_TABLE220_LEFTOVER",
        "c1-w1",
        TO_PODS,
        both(routes("c1-w1", Route(RPOD, UL, table="220", gateway="172.18.0.1")), rules("c1-w1", Rule(220, "220"))),
    ),
    "a leftover table of a gateway": (
        "ROUTE_TABLE220_LEFTOVER",
        "c1-w1",
        TO_PODS,
        both(routes("c1-w1", Route(RPOD, UL, table="150", scope="link")), rules("c1-w1", Rule(150, "150"))),
    ),
    "a table for pods only": (
        "ROUTE_TABLE220_LEFTOVER",
        "c1-w1",
        Signature(("pod.ngw.{a}--pod.*.{b}--*", "pod.*.{b}--pod.ngw.{a}--*")),
        both(
            routes("c1-w1", Route(RPOD, UL, table="9", gateway="172.18.0.1")),
            rules("c1-w1", Rule(9, "9", source="10.8.0.0/16")),
        ),
    ),
    "no rule for the cable": ("ROUTE_RULE100_MISSING", "c1-gw", CABLE, rules("c1-gw", without=("100",))),
    "no rule at all": ("ROUTE_RULE100_MISSING", "c1-gw", CABLE, rules("c1-gw", without=("100", "150"))),
    "a rule behind the main table": (
        "ROUTE_RULE100_MISSING",
        "c1-gw",
        CABLE,
        rules("c1-gw", Rule(33000, "100"), without=("100",)),
    ),
    "routes without a source": (
        "ROUTE_GW_SOURCE_HINT_MISSING",
        "c1-gw",
        FROM_HOST,
        lambda seen: changed(
            seen, "c1-gw", routes=lambda old: [replace(r, source=None) if r.table == "100" else r for r in old]
        ),
    ),
    "routes with the cable's source": (
        "ROUTE_GW_SOURCE_HINT_MISSING",
        "c1-gw",
        FROM_HOST,
        lambda seen: changed(
            seen, "c1-gw", routes=lambda old: [replace(r, source="241.18.1.1") if r.table == "100" else r for r in old]
        ),
    ),
    "docker0 over a part": (
        "ROUTE_MORE_SPECIFIC_LOCAL",
        "c1-w1",
        Signature(("{{pod,hostpod}}.ngw.{a}--pod.gw.{b}--*", "{{pod,hostpod}}.gw.{b}--{{pod,svc}}.ngw.{a}--*")),
        routes("c1-w1", Route("10.9.1.0/24", "docker0", protocol="kernel", scope="link")),
    ),
    "a static route over a part": (
        "ROUTE_MORE_SPECIFIC_LOCAL",
        "c1-w1",
        Signature(("{{pod,hostpod}}.ngw.{a}--pod.gw.{b}--*",)),
        routes("c1-w1", Route("10.9.1.0/24", UL, gateway="172.18.0.1", protocol="static")),
    ),
    "a blackhole": (
        "ROUTE_BLACKHOLE",
        "c1-w1",
        TO_PODS,
        routes("c1-w1", Route(RPOD, "", kind="blackhole"), without=(RPOD,)),
    ),
    "a prohibition by a daemon": (
        "ROUTE_BLACKHOLE",
        "c1-w1",
        TO_PODS,
        routes("c1-w1", Route(RPOD, "", kind="prohibit", protocol="80"), without=(RPOD,)),
    ),
    "a rule that refuses": (
        "ROUTE_BLACKHOLE",
        "c1-w1",
        TO_PODS,
        lambda seen: changed(seen, "c1-w1", rules=lambda rules: [Rule(50, "", "all", RPOD, action="prohibit"), *rules]),
    ),
    "a part unreachable": (
        "ROUTE_BLACKHOLE",
        "c1-w1",
        Signature(("{{pod,hostpod}}.ngw.{a}--pod.gw.{b}--*",)),
        routes("c1-w1", Route("10.9.1.0/26", "", kind="unreachable", protocol="bird")),
    ),
    "a blackhole on the gateway": (
        "ROUTE_BLACKHOLE",
        "c1-gw",
        CABLE,
        routes("c1-gw", *each(*ALL, device="", kind="blackhole", table="100"), without=ALL, table="100"),
    ),
}


@pytest.mark.parametrize(("code", "node", "breaks", "change"), FAULTS.values(), ids=FAULTS)
def test_named_alone(code: str, node: str, breaks: Signature, change: Change) -> None:
    assert found(failing(change(healthy()), breaks)) == [(code, "c1", node)]


@pytest.mark.parametrize(("code", "node", "breaks", "change"), FAULTS.values(), ids=FAULTS)
def test_explains_what_fails(code: str, node: str, breaks: Signature, change: Change) -> None:
    seen = failing(change(healthy()), breaks)
    (suspicion,) = BY_CODE[code].rule(seen)
    assert set(seen.failing_in(suspicion.explains)) == {flow for flow in seen.failing if not flow.is_status}
    assert any(line.startswith(f"{node}: ") for line in suspicion.state)


def test_what_no_path_depends_on_is_not_told() -> None:
    assert [found(change(healthy()), *OWN) for _, _, _, change in FAULTS.values()] == [[]] * len(FAULTS)


class TestTable150:
    """With the vxlan cable it is latent."""

    @pytest.mark.parametrize(
        "change",
        [
            routes("c1-gw", without=ALL, table="150"),
            routes("c1-gw", without=(RPOD,), table="150"),
            rules("c1-gw", without=("150",)),
        ],
        ids=["no routes", "one route less", "no rule"],
    )
    def test_told_though_nothing_fails(self, change: Change) -> None:
        assert found(change(healthy()), *OWN) == [("ROUTE_TABLE150_LOST", "c1", "c1-gw")]

    def test_with_ipsec_the_gateways_own_processes_fail(self) -> None:
        seen = routes("c1-gw", without=ALL, table="150")(healthy(cable="libreswan"))
        seen = failing(seen, "hostpod.gw.{a}--*.{b}--*")
        (suspicion,) = BY_CODE["ROUTE_TABLE150_LOST"].rule(seen)
        assert set(seen.failing_in(suspicion.explains)) == set(seen.failing)
        assert not any(suspicion.explains(flow) for flow in seen.flows if str(flow.case.source.kind) == "pod")

    def test_with_wireguard_nothing_crosses(self) -> None:
        seen = failing(routes("c1-gw", without=ALL, table="150")(healthy(cable="wireguard")), CABLE)
        (suspicion,) = BY_CODE["ROUTE_TABLE150_LOST"].rule(seen)
        assert set(seen.failing_in(suspicion.explains)) == {flow for flow in seen.failing if flow.crosses}

    def test_without_a_cni_address_there_is_no_table(self) -> None:
        seen = with_facts(routes("c1-gw", without=ALL, table="150")(healthy()), "c1-gw", cni_ip=None, cni_device=None)
        assert list(BY_CODE["ROUTE_TABLE150_LOST"].rule(seen)) == []
        assert list(BY_CODE["ROUTE_GW_SOURCE_HINT_MISSING"].rule(seen)) == []


class TestLookAlikes:
    @pytest.mark.parametrize(
        "change",
        [
            routes("c1-w1", *each(*ALL, device=UL, gateway="172.18.0.1", protocol="bird", metric=32)),
            routes("c1-w1", Route("10.0.0.0/8", UL, gateway="172.18.0.9")),
            routes("c1-w1", Route("10.9.1.0/24", VX, gateway="240.18.1.1", protocol="static")),
            routes("c1-w1", Route("10.99.0.0/16", "docker0", scope="link")),
            routes("c1-w1", Route("10.8.2.0/26", "", kind="blackhole", protocol="bird")),
            routes("c1-w1", Route(RPOD, UL, table="220", gateway="172.18.0.1")),
            both(
                routes("c1-w1", Route(RPOD, UL, table="220", gateway="172.18.0.1")),
                rules("c1-w1", Rule(220, "220", selector="fwmark 0x200")),
            ),
            both(
                routes("c1-w1", Route("default", UL, table="2", gateway="172.18.0.1")),
                rules("c1-w1", Rule(1536, "2", "10.77.0.0/16")),
            ),
            rules("c1-w1", Rule(100, "100")),
            rules("c1-gw", *(Rule(150, "150") for _ in range(20))),
            rules("c1-w1", Rule(149, "149"), Rule(512, "main", destination="10.8.2.7")),
        ],
        ids=[
            "BGP routes with a worse metric",
            "a shorter prefix beside it",
            "a longer prefix the same way",
            "docker0 elsewhere",
            "Calico's blackhole of its own block",
            "table 220 that nobody asks",
            "table 220 for marked packets",
            "a cloud CNI's table for other sources",
            "rule 100 of a former gateway",
            "rule 150 many times",
            "rules of other programs",
        ],
    )
    def test_no_suspicion(self, change: Change) -> None:
        assert suspicions(change(healthy()), *OWN) == []

    def test_a_device_that_is_down_took_its_routes_along(self) -> None:
        def down(links: tuple[Link, ...]) -> list[Link]:
            return [replace(link, up=False) if link.name == VX else link for link in links]

        seen = changed(routes("c1-w1", without=(*ALL, "240.0.0.0/8"))(healthy()), "c1-w1", links=down)
        assert [code for code, _ in suspicions(seen, *OWN) if code.startswith("ROUTE_")] == []

    def test_remote_clusters_that_overlap_have_no_routes(self) -> None:
        def overlapping(endpoints: tuple[dict[str, object], ...]) -> list[dict[str, object]]:
            return [
                {**e, "spec": {**dict(e["spec"]), "subnets": ["10.8.128.0/17"]}} if "c2" in str(e["metadata"]) else e  # type: ignore[call-overload]
                for e in endpoints
            ]

        seen = routes("c1-w1", without=ALL)(told(healthy(), "c1", endpoints=overlapping))
        assert [code for code, _ in suspicions(seen, *OWN) if code == "ROUTE_REMOTE_CIDR_MISSING"] == []

    @pytest.mark.parametrize("part", ["routes", "rules", "links"])
    def test_what_was_not_read_proves_nothing(self, part: str) -> None:
        seen = healthy()
        for node in ("c1-gw", "c1-w1"):
            seen = unread(seen, node, part)
        assert [code for code, _ in suspicions(seen, *OWN) if code.startswith("ROUTE_")] == []


def test_of_three_clusters_one_is_missing() -> None:
    seen = routes("c1-w1", without=("10.10.0.0/16", "100.10.0.0/16"))(healthy(clusters=3, workers=1))
    for path in ("*.ngw.c1--*.c3--*", "*.c3--*.ngw.c1--*"):
        seen = failing(seen, path)
    (suspicion,) = BY_CODE["ROUTE_REMOTE_CIDR_MISSING"].rule(seen)
    assert suspicion.object == "route 100.10.0.0/16, 10.10.0.0/16"
    assert {flow for flow in seen.flows if suspicion.explains(flow)} == set(seen.failing)
