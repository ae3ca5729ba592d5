"""Causes of the CNI and of the network between nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from observations import changed, counted, failing, found, healthy, lost, suspicions, told, unread, with_facts

from pytest_submariner.diagnose.catalogue import BY_CODE
from pytest_submariner.diagnose.cause import Cause
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.repeats import ArpAnswers, Repeat
from pytest_submariner.diagnose.tracing.trace import Way
from pytest_submariner.lab.faults.signatures import HOST_ONLY, NODE, NODE_LOCAL, Signature
from pytest_submariner.model.nodestate import Address, FdbEntry, Link, Neighbour, PacketFilter, Qdisc, Route

Change = Callable[[Observation], Observation]
RPOD = "10.9.0.0/16"
INGRESS = NODE | Signature(("{{pod,hostpod}}.gw.{a}--{{pod,svc}}.ngw.{a}--*", "pod.ngw.{a}--{{pod,svc}}.gw.{a}--*"))
OUT = Signature(("{{pod,hostpod}}.*.{a}--*.{b}--*",))
NODES = Signature(("{{pod,hostpod}}.ngw*.{a}--*.{b}--*", "*.{b}--{{pod,svc}}.ngw*.{a}--*"))
CNI = tuple(cause for code, cause in BY_CODE.items() if code.startswith(("CNI_", "UNDERLAY_")))


def routes(node: str, *new: Route, without: str = "-") -> Change:
    return lambda seen: changed(
        seen, node, routes=lambda old: [*(r for r in old if r.table != "main" or r.destination != without), *new]
    )


def settings(node: str, **values: str) -> Change:
    """`eth0="1"`: rp_filter of that device."""
    named = {f"net.ipv4.conf.{device}.rp_filter": value for device, value in values.items()}
    return lambda seen: changed(seen, node, sysctls=lambda old: {**old, **named})


def snat_to(node: str, ip: str) -> Change:
    def filters(old: tuple[PacketFilter, ...]) -> list[PacketFilter]:
        return [
            replace(
                f,
                rules=tuple(
                    replace(r, text=f"-s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source {ip}")
                    if "-j SNAT" in r.text
                    else r
                    for r in f.rules
                ),
            )
            for f in old
        ]

    return lambda seen: changed(seen, node, packet_filters=filters)


def address(node: str, device: str, ip: str, length: int) -> Change:
    return lambda seen: changed(
        seen,
        node,
        links=lambda old: [*old, Link(device, "bridge", 1500, index=99)],
        addresses=lambda old: [*old, Address(device, ip, length)],
    )


def no_cni_address(node: str) -> Change:
    def change(seen: Observation) -> Observation:
        seen = with_facts(seen, node, cni_device=None, cni_ip=None)
        seen = changed(seen, node, addresses=lambda old: [a for a in old if a.device != "cni0"])
        return changed(
            seen,
            node,
            packet_filters=lambda old: [
                replace(f, rules=tuple(r for r in f.rules if "-j SNAT" not in r.text)) for f in old
            ],
        )

    return change


def both(*changes: Change) -> Change:
    def change(seen: Observation) -> Observation:
        for step in changes:
            seen = step(seen)
        return seen

    return change


FAULTS: dict[str, tuple[str, str, Signature, Change]] = {
    "no address of pods": ("CNI_INTERFACE_MISSING", "c1-w1", HOST_ONLY, no_cni_address("c1-w1")),
    "a bridge in the pod CIDR": (
        "CNI_INTERFACE_WRONG",
        "c1-w1",
        HOST_ONLY,
        both(address("c1-w1", "br-other", "10.8.255.250", 32), snat_to("c1-w1", "10.8.255.250")),
    ),
    "a bridge with a subnet of it": (
        "CNI_INTERFACE_WRONG",
        "c1-w1",
        HOST_ONLY,
        both(address("c1-w1", "virbr7", "10.8.200.1", 24), snat_to("c1-w1", "10.8.200.1")),
    ),
    "no route to the pods": ("CNI_INGRESS_PATH_MISSING", "c1-gw", INGRESS, routes("c1-gw", without="10.8.2.0/24")),
    "an unreachable route": (
        "CNI_INGRESS_PATH_MISSING",
        "c1-gw",
        INGRESS,
        routes("c1-gw", Route("10.8.2.0/24", "", kind="unreachable"), without="10.8.2.0/24"),
    ),
    "a route to another node": (
        "CNI_INGRESS_PATH_MISSING",
        "c1-gw",
        INGRESS,
        routes("c1-gw", Route("10.8.2.0/24", "eth0", gateway="172.18.1.3"), without="10.8.2.0/24"),
    ),
    "strict on the NIC": ("CNI_RPFILTER_STRICT", "c1-w1", NODE, settings("c1-w1", eth0="1")),
    "strict for all": ("CNI_RPFILTER_STRICT", "c1-w1", NODE, settings("c1-w1", all="1")),
    "a tunnel of the CNI to 240.x": (
        "CNI_NODE_IP_ON_VX_SUBMARINER",
        "c1-w1",
        NODE | NODE_LOCAL,
        lambda seen: changed(
            seen,
            "c1-gw",
            fdb=lambda old: [*old, FdbEntry("flannel.1", "02:00:00:00:00:07", "240.18.1.2")],
        ),
    ),
    "an annotation with 240.x": (
        "CNI_NODE_IP_ON_VX_SUBMARINER",
        "c1-w1",
        NODE | NODE_LOCAL,
        lambda seen: told(
            seen,
            "c1",
            nodes=lambda old: [
                {**n, "metadata": {**n["metadata"], "annotations": {"projectcalico.org/IPv4Address": "240.18.1.2/8"}}}
                if n["metadata"]["name"] == "c1-w1"
                else n
                for n in old
            ],
        ),
    ),
}


@pytest.mark.parametrize(("code", "node", "breaks", "change"), FAULTS.values(), ids=FAULTS)
def test_named_alone(code: str, node: str, breaks: Signature, change: Change) -> None:
    assert found(failing(change(healthy()), breaks)) == [(code, "c1", node)]


@pytest.mark.parametrize("change", [change for _, _, _, change in FAULTS.values()], ids=FAULTS)
def test_what_no_path_depends_on_is_not_told(change: Change) -> None:
    assert found(change(healthy()), *CNI) == []


def codes(seen: Observation, *causes: Cause) -> set[str]:
    return {code for code, _ in suspicions(seen, *causes)}


@pytest.mark.parametrize(
    "change",
    [
        settings("c1-w1", all="1", eth0="2", cni0="2"),
        settings("c1-w1", **{"vx-submariner": "1"}),
        settings("c1-w1", cni0="1"),
        lambda seen: unread(settings("c1-w1", eth0="1")(seen), "c1-w1", "sysctls"),
    ],
    ids=["all strict, devices loose", "strict where nothing enters", "strict where pods are", "not read"],
)
def test_a_filter_that_drops_nothing_is_not_blamed(change: Change) -> None:
    assert "CNI_RPFILTER_STRICT" not in codes(failing(change(healthy()), NODE))


def test_a_strict_filter_is_told_with_its_counter() -> None:
    seen = counted(failing(settings("c1-w1", eth0="1")(healthy()), NODE), "c1-w1", TcpExtIPReversePathFilter=12)
    ((_, suspicion),) = suspicions(seen, BY_CODE["CNI_RPFILTER_STRICT"])
    assert "TcpExtIPReversePathFilter rose by 12" in suspicion.traffic[0]
    assert "which enters by eth0, is vx-submariner" in suspicion.state[1]


def test_pods_by_the_default_route_are_normal_where_the_cloud_knows_them() -> None:
    """No node has routes to pods of others, and what fails is something else."""
    seen = healthy()
    for name in ("gw", "w1", "w2"):
        seen = changed(
            seen, f"c1-{name}", routes=lambda old: [r for r in old if "10.8." not in r.destination or not r.gateway]
        )
    assert "CNI_INGRESS_PATH_MISSING" not in codes(failing(seen, NODE))


def test_a_route_is_refuted_by_pods_that_use_it() -> None:
    seen = failing(routes("c1-gw", without="10.8.2.0/24")(healthy()), NODE)
    assert "CNI_INGRESS_PATH_MISSING" not in {code for code, _, _ in found(seen)}


def pools(*specs: dict[str, Any]) -> Change:
    found_pools = tuple({"metadata": {"name": f"pool{i}"}, "spec": spec} for i, spec in enumerate(specs))

    def change(seen: Observation) -> Observation:
        clusters = tuple(replace(c, network_plugin="calico") for c in seen.clusters)
        seen = replace(seen, topology=replace(seen.topology, clusters=clusters))
        return told(told(seen, "c1", ippools=found_pools), "c2", ippools=RIGHT_C2)

    return change


LOCAL = {"cidr": "10.8.0.0/16", "natOutgoing": True}
RIGHT = tuple({"cidr": cidr, "disabled": True, "natOutgoing": False} for cidr in (RPOD, "100.9.0.0/16"))
RIGHT_C2 = tuple(
    {"metadata": {"name": cidr}, "spec": {"cidr": cidr, "disabled": True}} for cidr in ("10.8.0.0/16", "100.8.0.0/16")
)


@pytest.mark.parametrize(
    "change",
    [
        pools(LOCAL),
        pools(),
        pools(LOCAL, {**RIGHT[0], "natOutgoing": True}, RIGHT[1]),
        pools(LOCAL, {**RIGHT[0], "disabled": False}, RIGHT[1]),
        pools(LOCAL, {**RIGHT[0], "cidr": "10.9.0.0/17"}, RIGHT[1]),
    ],
    ids=["none for the remote", "none at all", "with natOutgoing", "enabled", "for another CIDR"],
)
def test_pools_of_calico(change: Change) -> None:
    assert found(failing(change(healthy()), OUT), *CNI) == [("CNI_CALICO_IPPOOL", "c1", "c1-gw")]


def test_pools_as_submariner_makes_them_are_right() -> None:
    assert found(failing(pools(LOCAL, *RIGHT)(healthy()), OUT), *CNI) == []
    assert found(failing(healthy(), OUT), *CNI) == []


def broken(seen: Observation) -> Observation:
    """Pods of c1-w1 and of other nodes do not reach each other; their hosts do."""
    between = (
        "pod.ngw.{a}--{{pod,svc}}.*.{a}--tcp",
        "pod.ngw.{a}--{{pod,svc}}.*.{a}--udp",
        "pod.ngw.{a}--pod.*.{a}--icmp",
        "{{pod,hostpod}}.gw*.{a}--{{pod,svc}}.ngw.{a}--*",
        "{{pod,hostpod}}.ngw2.{a}--{{pod,svc}}.ngw.{a}--*",
    )
    return failing(seen, NODE | Signature(between))


BETWEEN = "pod.ngw.c1--pod.gw.c1--tcp"


def test_a_cni_that_loses_packets_between_nodes() -> None:
    seen = lost(broken(healthy()), BETWEEN, "c1-gw", 11, on="c1-w1")
    assert found(seen) == [("CNI_INTRA_CLUSTER_BROKEN", "c1", "c1-w1")]


def test_a_route_missing_on_the_node_is_the_cnis_too() -> None:
    seen = routes("c1-w1", without="10.8.1.0/24")(broken(healthy()))
    assert found(seen) == [("CNI_INTRA_CLUSTER_BROKEN", "c1", "c1-w1")]
    ((_, suspicion),) = suspicions(seen, BY_CODE["CNI_INTRA_CLUSTER_BROKEN"])
    assert "10.8.1.1" in suspicion.state[0]


def test_failures_alone_do_not_name_the_cni() -> None:
    assert "CNI_INTRA_CLUSTER_BROKEN" not in codes(broken(healthy()))


def test_nor_where_the_hosts_do_not_reach_each_other() -> None:
    seen = failing(
        broken(healthy()), NODE | Signature(("hostpod.*.{a}--hostpod.*.{a}--*", "pod.ngw.{a}--pod.gw.{a}--*"))
    )
    assert "CNI_INTRA_CLUSTER_BROKEN" not in codes(lost(seen, BETWEEN, "c1-gw", 11, on="c1-w1"))


ACROSS = "pod.gw.c2--pod.ngw.c1--tcp"


def checked(seen: Observation, *sources: str) -> Observation:
    """A bare packet of the other cluster left the gateway and did not come to the node."""
    seen = lost(seen, ACROSS, "c1-w1", 11, on="c1-gw")
    trace = seen.traces[ACROSS]
    left = replace(trace.sightings[0], sources=sources or ("10.9.1.10",), device="eth0")
    return replace(seen, traces={ACROSS: replace(trace, sightings=(left, trace.sightings[1]))})


def test_a_source_check_of_the_network() -> None:
    assert found(checked(failing(healthy(), NODES))) == [("UNDERLAY_SOURCE_CHECK", "c1", "c1-gw")]


@pytest.mark.parametrize(
    "seen",
    [
        checked(failing(healthy(), NODE)),
        checked(failing(healthy(), NODES), "10.8.1.10"),
        checked(failing(healthy(), NODES | Signature(("pod.gw.{a}--pod.ngw.{a}--*",)))),
        lost(failing(healthy(), NODES), "pod.ngw.c1--pod.gw.c2--tcp", "c1-gw", 4, on="c1-w1"),
    ],
    ids=["another node works", "a source of the cluster", "inside fails too", "lost elsewhere"],
)
def test_what_is_no_source_check(seen: Observation) -> None:
    assert "UNDERLAY_SOURCE_CHECK" not in {code for code, _, _ in found(seen)}


SOME = "*.ngw.{a}--*.{b}--udp"


def pings(seen: Observation, **lost_of_30: int) -> Observation:
    """`gw_ngw=9`: of host-network pings from the gateway to the first node."""
    names = {"gw": "c1-gw", "ngw": "c1-w1", "ngw2": "c1-w2"}
    repeats = []
    for pair, count in lost_of_30.items():
        source, target = pair.split("_")
        path = f"hostpod.{source}.c1--hostpod.{target}.c1--icmp"
        repeats.append(Repeat(path, ("c1", names[source]), ("c1", names[target]), 30, count))
    return replace(seen, repeats=tuple(repeats))


def test_a_link_that_loses_packets() -> None:
    seen = pings(failing(healthy(), SOME), gw_ngw=9, ngw_gw=8, ngw_ngw2=10, gw_ngw2=0)
    assert found(seen) == [("UNDERLAY_PACKET_LOSS", "c1", "c1-w1")]
    ((_, suspicion),) = suspicions(seen, BY_CODE["UNDERLAY_PACKET_LOSS"])
    assert "9 of 30 probes lost" in suspicion.traffic[0]
    assert "of 30 probes between other nodes' host networks none was lost" in suspicion.traffic[-1]


def test_a_single_lost_probe_is_no_finding() -> None:
    assert found(pings(failing(healthy(), SOME), gw_ngw=1, ngw_gw=0, ngw_ngw2=0, gw_ngw2=0)) == []


def neighbour(node: str, ip: str, mac: str) -> Change:
    return lambda seen: changed(
        seen, node, neighbours=lambda old: [*(n for n in old if n.ip != ip), Neighbour("eth0", ip, mac, "REACHABLE")]
    )


ROGUE, GATEWAY_IP = "02:de:ad:be:ef:01", "172.18.1.1"


def answers(*macs: str, node: str = "c1-w1") -> Change:
    return lambda seen: replace(seen, arp_answers=(ArpAnswers("c1", node, GATEWAY_IP, macs),))


@pytest.mark.parametrize(
    "change",
    [neighbour("c1-w1", GATEWAY_IP, ROGUE), answers("02:00:ac:12:01:01", ROGUE)],
    ids=["a neighbour entry", "two answers to ARP"],
)
def test_another_host_with_the_gateways_address(change: Change) -> None:
    assert found(failing(change(healthy()), "*.ngw.{a}--*.{b}--udp")) == [("UNDERLAY_DUPLICATE_IP", "c1", "c1-gw")]
    assert found(change(healthy())) == [("UNDERLAY_DUPLICATE_IP", "c1", "c1-gw")]


@pytest.mark.parametrize(
    "change",
    [
        answers("02:00:ac:12:01:01"),
        both(
            neighbour("c1-w1", GATEWAY_IP, "12:34:56:78:9a:bc"), neighbour("c1-w1", "172.18.1.3", "12:34:56:78:9a:bc")
        ),
        neighbour("c1-w1", "172.18.0.1", ROGUE),
    ],
    ids=["one answer", "a fabric that answers for all", "no node's address"],
)
def test_macs_that_mean_nothing(change: Change) -> None:
    assert suspicions(change(healthy()), BY_CODE["UNDERLAY_DUPLICATE_IP"]) == []


def queue(kind: str, text: str, *, dropped: int = 0, device: str = "eth0") -> Change:
    return lambda seen: changed(seen, "c1-gw", qdiscs=(Qdisc(device, kind, text, dropped, dropped),))


@pytest.mark.parametrize(
    "change",
    [
        queue("tbf", '{"burst": 4096, "lat": 50000, "rate": 32000}', dropped=12),
        queue("tbf", '{"burst": 4096, "lat": 50000, "rate": 32000}'),
    ],
    ids=["it dropped", "so far it dropped nothing"],
)
def test_a_shaper_far_below_what_is_needed(change: Change) -> None:
    assert found(failing(change(healthy()), "*.{a}--*.{b}--tcp*")) == [("UNDERLAY_THROTTLED", "c1", "c1-gw")]


@pytest.mark.parametrize(
    "change",
    [
        queue("fq_codel", '{"limit": 10240}', dropped=500),
        queue("tbf", '{"rate": 1250000000}'),
        queue("tbf", '{"rate": 32000}', device="docker0"),
        queue("tbf", "not JSON"),
    ],
    ids=["an ordinary queue", "10 Gbit/s", "another device", "unknown options"],
)
def test_queues_that_hold_nobody_back(change: Change) -> None:
    assert suspicions(failing(change(healthy()), "*.{a}--*.{b}--tcp*"), BY_CODE["UNDERLAY_THROTTLED"]) == []


def test_the_reply_is_checked_as_well() -> None:
    seen = lost(failing(healthy(), NODES), "pod.ngw.c1--pod.gw.c2--tcp", "c1-w1", 11, on="c1-gw", way=Way.REPLY)
    trace = seen.traces["pod.ngw.c1--pod.gw.c2--tcp"]
    left = replace(trace.sightings[0], sources=("10.9.1.11",), device="eth0")
    traces = {trace.path_id: replace(trace, sightings=(left, trace.sightings[1]))}
    assert found(replace(seen, traces=traces)) == [("UNDERLAY_SOURCE_CHECK", "c1", "c1-gw")]
