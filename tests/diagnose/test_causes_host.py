"""Causes of hosts: named alone where they are, in more than one form, and not where something else looks like them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from observations import changed, counted, failing, found, healthy, of_layers, suspicions, told, unread

from pytest_submariner.dataplane.links import FLOOD_MAC
from pytest_submariner.diagnose.catalogue import BY_CODE
from pytest_submariner.diagnose.cause import Layer
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.lab.faults.signatures import CABLE, FORWARDING, NODE, Signature
from pytest_submariner.model.nodestate import (
    Address,
    FdbEntry,
    Neighbour,
    NftChain,
    NftRule,
    NftTable,
    PacketFilter,
    PacketFilterRule,
    Route,
    Rule,
)

Change = Callable[[Observation], Observation]
OWN = of_layers(Layer.OVERLAY, Layer.ROUTE, Layer.HOST)
VX = "vx-submariner"
OVERLAY = Signature(("*.ngw*.{a}--*.{b}--*", "*.{b}--*.ngw*.{a}--*"))
"""All non-gateway nodes of the afflicted cluster."""
INSIDE_TOO = FORWARDING | Signature(("pod.gw.{a}--*.ngw*.{a}--*", "*.ngw*.{a}--pod.gw.{a}--*"))


def settings(node: str, **values: str) -> Change:
    """`settings("c1-gw", vx_submariner__rp_filter="1")` sets net.ipv4.conf.vx-submariner.rp_filter."""
    named = {
        f"net.ipv4.conf.{key.replace('_submariner', '-submariner').replace('_tunnel', '-tunnel').replace('__', '.')}": value
        for key, value in values.items()
    }
    return lambda seen: changed(seen, node, sysctls=lambda old: {**old, **named})


def not_forwarding(node: str) -> Change:
    """As the kernel does when net.ipv4.ip_forward is cleared: for every device."""
    return lambda seen: changed(
        seen,
        node,
        sysctls=lambda old: {
            key: "0" if key.endswith((".forwarding", "ip_forward")) else value for key, value in old.items()
        },
    )


def both(*changes: Change) -> Change:
    def change(seen: Observation) -> Observation:
        for step in changes:
            seen = step(seen)
        return seen

    return change


def laid_out_as_gateway(*, hostname: str = "c1-w1") -> Change:
    """c1-w1, as its agent makes it when it takes the node for the gateway."""

    def change(seen: Observation) -> Observation:
        return changed(
            seen,
            "c1-w1",
            hostname=hostname,
            links=lambda links: [replace(x, remote=None) if x.name == VX else x for x in links],
            fdb=[FdbEntry(VX, FLOOD_MAC, ip) for ip in ("172.18.1.1", "172.18.1.2", "172.18.1.3")],
            routes=lambda old: [
                *(r for r in old if not (r.device == VX and r.gateway)),
                *(
                    Route(cidr, "eth0", table="150", source="10.8.2.1", scope="link")
                    for cidr in ("10.9.0.0/16", "100.9.0.0/16")
                ),
            ],
            rules=lambda old: [*old, Rule(150, "150")],
        )

    return change


def told_ip(ip: str) -> Change:
    """c1-w1's Node object has another InternalIP, which the gateway follows."""

    def nodes(old: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
        return [
            {**n, "status": {**n["status"], "addresses": [{"type": "InternalIP", "address": ip}]}}
            if n["metadata"]["name"] == "c1-w1"
            else n
            for n in old
        ]

    def change(seen: Observation) -> Observation:
        seen = told(seen, "c1", nodes=nodes)
        seen = changed(seen, "c1-gw", fdb=lambda fdb: [replace(e, dst=ip) if e.dst == "172.18.1.2" else e for e in fdb])
        node = replace(seen.sights["c1", "c1-w1"].node, internal_ip=ip)
        clusters = tuple(
            replace(x, nodes=tuple(node if n.name == "c1-w1" else n for n in x.nodes)) for x in seen.topology.clusters
        )
        return replace(
            seen,
            topology=replace(seen.topology, clusters=clusters),
            flows=tuple(
                replace(
                    f,
                    source=node if f.source.name == "c1-w1" else f.source,
                    target=node if f.target.name == "c1-w1" else f.target,
                )
                for f in seen.flows
            ),
            sights={**seen.sights, ("c1", "c1-w1"): replace(seen.sights["c1", "c1-w1"], node=node)},
        )

    return change


def dropping(text: str, packets: int = 9, chain: str = "FORWARD") -> Change:
    """The gateway's chain begins with such a rule."""

    def filters(old: tuple[PacketFilter, ...]) -> list[PacketFilter]:
        jump = PacketFilterRule("filter", "FORWARD", "-j LIMITS", 9, 0)
        rules = (PacketFilterRule("filter", chain, text, packets, 0), *([jump] if chain == "LIMITS" else []))
        return [replace(f, rules=(*rules, *f.rules)) for f in old]

    return lambda seen: changed(seen, "c1-gw", packet_filters=filters)


def native(text: str) -> Change:
    chain = NftChain("c", (NftRule(text, "drop", 9, 540),), "filter", "forward", -10, "accept")
    return lambda seen: changed(seen, "c1-gw", native_tables=[NftTable("ip", "full", (chain,))])


FAULTS: dict[str, tuple[str, str, Signature, Change]] = {
    "a gateway that does not forward": ("HOST_IP_FORWARD_OFF", "c1-gw", INSIDE_TOO, not_forwarding("c1-gw")),
    "some of its devices do not": (
        "HOST_IP_FORWARD_OFF",
        "c1-gw",
        OVERLAY,
        settings("c1-gw", vx_submariner__forwarding="0", vxlan_tunnel__forwarding="0", cni0__forwarding="0"),
    ),
    "its vx-submariner does not": (
        "HOST_IP_FORWARD_OFF",
        "c1-gw",
        OVERLAY,
        settings("c1-gw", vx_submariner__forwarding="0"),
    ),
    "a worker that does not forward": (
        "HOST_IP_FORWARD_OFF",
        "c1-w1",
        Signature(("pod.ngw.{a}--*.{b}--*", "*.{b}--{{pod,svc}}.ngw.{a}--*")),
        not_forwarding("c1-w1"),
    ),
    "a strict filter": ("HOST_RPFILTER_STRICT_VX", "c1-gw", OVERLAY, settings("c1-gw", vx_submariner__rp_filter="1")),
    "a strict filter by default": (
        "HOST_RPFILTER_STRICT_VX",
        "c1-gw",
        OVERLAY,
        settings("c1-gw", vx_submariner__rp_filter="0", all__rp_filter="1"),
    ),
    "a worker laid out as gateway": ("HOST_DUPLICATE_HOSTNAME", "c1-w1", NODE, laid_out_as_gateway()),
    "a worker with the gateway's hostname": (
        "HOST_DUPLICATE_HOSTNAME",
        "c1-w1",
        NODE,
        laid_out_as_gateway(hostname="c1-gw"),
    ),
    "an InternalIP of nobody": ("HOST_NODE_IP_MISMATCH", "c1-w1", NODE, told_ip("172.18.250.250")),
    "an InternalIP of a second NIC": (
        "HOST_NODE_IP_MISMATCH",
        "c1-w1",
        NODE,
        both(
            told_ip("192.168.7.2"),
            lambda seen: changed(
                seen,
                "c1-w1",
                addresses=lambda old: [*old, Address("eth1", "192.168.7.2", 24)],
                neighbours=[Neighbour(VX, "240.18.1.1", None, "FAILED")],
            ),
        ),
    ),
    "a full table": (
        "HOST_CONNTRACK_FULL",
        "c1-gw",
        CABLE,
        lambda seen: changed(
            seen, "c1-gw", conntrack_stats={"count": 262140, "max": 262144, "drop": 0, "early_drop": 3}
        ),
    ),
    "a table that dropped while probes ran": (
        "HOST_CONNTRACK_FULL",
        "c1-gw",
        CABLE,
        lambda seen: changed(
            seen,
            "c1-gw",
            after=True,
            conntrack_stats={"count": 9, "max": 262144, "drop": 40, "early_drop": 0, "insert_failed": 0},
        ),
    ),
    "new connections dropped by chance": (
        "HOST_CONNTRACK_FULL",
        "c1-gw",
        FORWARDING,
        dropping("-m conntrack --ctstate NEW -m statistic --mode random --probability 0.50000000000 -j DROP"),
    ),
    "connections limited in a chain of its own": (
        "HOST_CONNTRACK_FULL",
        "c1-gw",
        FORWARDING,
        dropping("-p tcp -m connlimit --connlimit-above 100 -j DROP", chain="LIMITS"),
    ),
    "connections limited in number": (
        "HOST_CONNTRACK_FULL",
        "c1-gw",
        FORWARDING,
        dropping("-p tcp -m connlimit --connlimit-above 100 --connlimit-mask 32 --connlimit-saddr -j REJECT"),
    ),
    "new connections dropped by chance, by nftables": (
        "HOST_CONNTRACK_FULL",
        "c1-gw",
        FORWARDING,
        native("ct state new numgen random mod 100 < 50 counter packets 9 bytes 540 drop"),
    ),
}


LIMITS = {name for name in FAULTS if name.startswith(("new connections", "connections limited"))}


@pytest.mark.parametrize(("code", "node", "breaks", "change"), FAULTS.values(), ids=FAULTS)
def test_named_alone(code: str, node: str, breaks: Signature, change: Change) -> None:
    seen = failing(change(healthy()), breaks)
    assert found(seen) == [(code, "c1", node)]
    (suspicion,) = BY_CODE[code].rule(seen)
    assert {flow.id for flow in seen.failing if not flow.is_status and not suspicion.explains(flow)} == set()


def test_what_no_path_depends_on_is_told_of_full_tables_only() -> None:
    said = {name: found(change(healthy()), *OWN) for name, (_, _, _, change) in FAULTS.items()}
    latent = {name for name, (code, *_) in FAULTS.items() if code == "HOST_CONNTRACK_FULL"}
    assert {name for name, findings in said.items() if findings} == latent - LIMITS


def test_a_gateway_that_does_not_forward_still_talks_itself() -> None:
    (suspicion,) = BY_CODE["HOST_IP_FORWARD_OFF"].rule(not_forwarding("c1-gw")(healthy()))
    kept = [flow.id for flow in healthy().flows if flow.crosses and not suspicion.explains(flow)]
    assert "hostpod.gw.c1--pod.ngw.c2--tcp" in kept
    assert all(path.startswith("hostpod.gw.c1--") for path in kept)


class TestLookAlikes:
    @pytest.mark.parametrize(
        "change",
        [
            settings("c1-gw", all__rp_filter="1"),
            settings("c1-gw", vx_submariner__rp_filter="0"),
            settings("c1-w1", vx_submariner__rp_filter="1"),
            settings("c1-gw", default__rp_filter="1", default__forwarding="0"),
            settings("c1-gw", all__forwarding="0"),
            lambda seen: changed(seen, "c1-w1", hostname="c1-w1.example.com"),
            lambda seen: changed(seen, "c1-w1", rules=lambda old: [*old, Rule(100, "100")]),
            lambda seen: changed(seen, "c1-w1", addresses=lambda old: [*old, Address("eth1", "192.168.7.2", 24)]),
            dropping("-m conntrack --ctstate INVALID -j DROP"),
            dropping("-m conntrack --ctstate NEW -m statistic --mode random --probability 0.5 -j DROP", packets=0),
            dropping("-m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-UC6BXPXVZR4P64JB"),
            dropping("-p tcp -m limit --limit 5/min -j LOG"),
            dropping("-p tcp -m tcp --dport 22 -m connlimit --connlimit-above 3 -j REJECT", chain="INPUT"),
            lambda seen: changed(
                seen, "c1-gw", conntrack_stats={"count": 200000, "max": 262144, "drop": 7, "insert_failed": 31}
            ),
        ],
        ids=[
            "strict by default, loose by device",
            "no filter",
            "strict where nothing enters",
            "defaults for devices to come",
            "the sum of devices that forward",
            "an FQDN",
            "rule 100 of a former gateway",
            "a second NIC",
            "invalid packets dropped",
            "a limit that never counted",
            "kube-proxy's choice of a pod",
            "a log with a limit",
            "a limit on what the node itself serves",
            "a busy table, with drops long ago",
        ],
    )
    def test_no_suspicion(self, change: Change) -> None:
        assert [code for code, _ in suspicions(change(healthy()), *OWN) if code.startswith("HOST_")] == []

    @pytest.mark.parametrize("part", ["sysctls", "links", "addresses", "fdb", "conntrack_stats", "packet_filters"])
    def test_what_was_not_read_proves_nothing(self, part: str) -> None:
        seen = healthy()
        for node in ("c1-gw", "c1-w1"):
            seen = unread(seen, node, part)
        assert [code for code, _ in suspicions(seen, *OWN) if code.startswith("HOST_")] == []


def test_counters_are_told() -> None:
    seen = counted(not_forwarding("c1-gw")(healthy()), "c1-gw", IpInAddrErrors=8)
    (suspicion,) = BY_CODE["HOST_IP_FORWARD_OFF"].rule(seen)
    assert suspicion.traffic == ("c1-gw: IpInAddrErrors rose by 8, IpForwDatagrams by 0 while probes ran",)
    seen = counted(settings("c1-gw", vx_submariner__rp_filter="1")(healthy()), "c1-gw", TcpExtIPReversePathFilter=8)
    (suspicion,) = BY_CODE["HOST_RPFILTER_STRICT_VX"].rule(seen)
    assert suspicion.traffic == ("c1-gw: TcpExtIPReversePathFilter rose by 8 while probes ran",)
