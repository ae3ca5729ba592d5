"""Causes of packet filters: named alone where they are, in more than one form, and not where something else looks like them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from observations import changed, failing, found, healthy, suspicions, told, unread

from pytest_submariner.diagnose.catalogue import BY_CODE
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.lab.faults.signatures import HOST_ONLY, NODE_IN, NODE_OUT, SERVICES_HERE, Signature
from pytest_submariner.model.nodestate import (
    Address,
    IpSet,
    Link,
    NftChain,
    NftRule,
    NftTable,
    PacketFilter,
    PacketFilterRule,
    Unanswered,
)
from pytest_submariner.model.verdict import Verdict

Change = Callable[[Observation], Observation]
PODS, SNAT = "10.8.0.0/16", "-s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source"
OWN_CHAIN, JUMP = "SUBMARINER-POSTROUTING", "-j SUBMARINER-POSTROUTING"
MASQUERADE = f"-s {PODS} ! -d {PODS} -j MASQUERADE"
POD_OUT = Signature(("pod.ngw.{a}--*.{b}--*",))
OUT_OF_CLUSTER = Signature(("{{pod,hostpod}}.*.{a}--*.{b}--{{tcp,udp}}*",))
FORWARDED = Signature(("pod.*.{a}--*.{b}--*", "hostpod.ngw*.{a}--*.{b}--*", "*.{b}--{{pod,svc}}.*.{a}--*"))
NODES = Signature(("{{pod,hostpod}}.ngw*.{a}--*.{b}--*", "*.{b}--{{pod,svc}}.ngw*.{a}--*"))
"""Every node but the gateway is cut off."""
UDP_TO_HOST = Signature(("*.{a}--hostpod.gw.{a}--udp*", "hostpod.gw.{a}--*.{a}--udp*"))
INSIDE_GATEWAY = Signature(
    ("pod.gw.{a}--*.{a}--*", "*.{a}--{{pod,svc}}.gw.{a}--*", "hostpod.gw.{a}--svc.*.{a}--*", "pod.*.{a}--svc.*.{a}--*")
)
INSIDE_NODE = Signature(("pod.ngw.{a}--*.{a}--*", "*.{a}--{{pod,svc}}.ngw.{a}--*"))
SERVICES = SERVICES_HERE | Signature(("{{pod,hostpod}}.gw.{a}--svc.*.{a}--*",))
ESTABLISHED = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def table(
    node: str,
    name: str,
    chain: str,
    *new: str,
    first: bool = False,
    without: str | None = None,
    policy: str | None = None,
    backend: str = "nft",
) -> Change:
    """Rules added to a chain of a backend, those with some text taken out, another policy."""

    def filters(old: tuple[PacketFilter, ...]) -> list[PacketFilter]:
        known = {f.backend: f for f in old}
        was = known.get(backend, PacketFilter((), {}, backend))
        kept = [r for r in was.rules if (r.table, r.chain) != (name, chain) or without is None or without not in r.text]
        added = [PacketFilterRule(name, chain, text, 0, 0) for text in new]
        policies = {(name, chain): "ACCEPT", **was.policies}
        if policy is not None:
            policies[name, chain] = policy
        known[backend] = PacketFilter(tuple([*added, *kept] if first else [*kept, *added]), policies, backend)
        return list(known.values())

    return lambda seen: changed(seen, node, packet_filters=filters)


def nft(node: str, hook: str, *rules: str, kind: str = "filter", priority: int = -10, policy: str = "accept") -> Change:
    def add(old: tuple[NftTable, ...]) -> list[NftTable]:
        chain = NftChain("all", tuple(NftRule(text) for text in rules), kind, hook, priority, policy)
        return [*old, NftTable("inet", "other", (chain,))]

    return lambda seen: changed(seen, node, native_tables=add)


def both(*changes: Change) -> Change:
    def change(seen: Observation) -> Observation:
        for step in changes:
            seen = step(seen)
        return seen

    return change


def snat(node: str, *new: str) -> Change:
    return table(node, "nat", OWN_CHAIN, *new, first=True, without="-j SNAT")


FAULTS: dict[str, tuple[str, str, Signature, Change]] = {
    "no SNAT": ("NF_HOSTNET_SNAT_MISSING", "c1-w1", HOST_ONLY, snat("c1-w1")),
    "a SNAT for another device": (
        "NF_HOSTNET_SNAT_MISSING",
        "c1-w1",
        HOST_ONLY,
        snat("c1-w1", "-s 240.0.0.0/8 -o eth0 -j SNAT --to-source 10.8.2.1"),
    ),
    "a SNAT for other sources": (
        "NF_HOSTNET_SNAT_MISSING",
        "c1-w1",
        HOST_ONLY,
        snat("c1-w1", "-s 241.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.2.1"),
    ),
    "a SNAT to a free address": (
        "NF_HOSTNET_SNAT_WRONG_ADDRESS",
        "c1-w1",
        HOST_ONLY,
        snat("c1-w1", f"{SNAT} 10.8.255.250"),
    ),
    "a SNAT to the gateway's": ("NF_HOSTNET_SNAT_WRONG_ADDRESS", "c1-w1", HOST_ONLY, snat("c1-w1", f"{SNAT} 10.8.1.1")),
    "a SNAT to the node's own": (
        "NF_HOSTNET_SNAT_WRONG_ADDRESS",
        "c1-w1",
        HOST_ONLY,
        snat("c1-w1", f"{SNAT} 172.18.1.2"),
    ),
    "an old SNAT before the new one": (
        "NF_HOSTNET_SNAT_WRONG_ADDRESS",
        "c1-w1",
        HOST_ONLY,
        snat("c1-w1", f"{SNAT} 10.8.255.250", f"{SNAT} 10.8.2.1"),
    ),
    "no jump": ("NF_POSTROUTING_JUMP_MISSING", "c1-w1", NODE_OUT, table("c1-w1", "nat", "POSTROUTING", without=JUMP)),
    "a jump for somebody else": (
        "NF_POSTROUTING_JUMP_MISSING",
        "c1-w1",
        NODE_OUT,
        table("c1-w1", "nat", "POSTROUTING", f"-s 192.0.2.0/24 {JUMP}", first=True, without=JUMP),
    ),
    "no jump on the gateway": (
        "NF_POSTROUTING_JUMP_MISSING",
        "c1-gw",
        OUT_OF_CLUSTER,
        table("c1-gw", "nat", "POSTROUTING", without=JUMP),
    ),
    "a masquerade before the jump": (
        "NF_MASQUERADE_FIRST_WORKER",
        "c1-w1",
        POD_OUT,
        table("c1-w1", "nat", "POSTROUTING", MASQUERADE, first=True),
    ),
    "a masquerade of nftables": (
        "NF_MASQUERADE_FIRST_WORKER",
        "c1-w1",
        POD_OUT,
        nft("c1-w1", "postrouting", f"ip saddr {PODS} ip daddr != {PODS} counter masquerade", kind="nat", priority=90),
    ),
    "the jump behind the CNI's": (
        "NF_MASQUERADE_FIRST_WORKER",
        "c1-w1",
        POD_OUT,
        table("c1-w1", "nat", "POSTROUTING", JUMP, without=JUMP),
    ),
    "no accept for a pair": (
        "NF_MASQUERADE_FIRST_WORKER",
        "c1-w1",
        Signature(("pod.ngw.{a}--pod.*.{b}--*",)),
        table("c1-w1", "nat", OWN_CHAIN, without="-d 10.9.0.0/16 -j ACCEPT"),
    ),
    "a masquerade on the gateway": (
        "NF_MASQUERADE_ON_GATEWAY",
        "c1-gw",
        OUT_OF_CLUSTER,
        table("c1-gw", "nat", "POSTROUTING", MASQUERADE, first=True),
    ),
    "a masquerade on the gateway, inwards": (
        "NF_MASQUERADE_ON_GATEWAY",
        "c1-gw",
        Signature(("*.{b}--pod.*.{a}--{{tcp,udp}}*",)),
        table("c1-gw", "nat", "POSTROUTING", f"! -s {PODS} -d {PODS} -j MASQUERADE", first=True),
    ),
    "a masquerade in the other backend": (
        "NF_BACKEND_MIX",
        "c1-w1",
        POD_OUT,
        table("c1-w1", "nat", "POSTROUTING", MASQUERADE, backend="legacy"),
    ),
    "a drop in the other backend of what Submariner accepts": (
        "NF_BACKEND_MIX",
        "c1-w1",
        NODE_OUT,
        table("c1-w1", "filter", "FORWARD", "-o vx-submariner -j DROP", backend="legacy"),
    ),
    "UDP/4800 dropped in the other backend": (
        "NF_BACKEND_MIX",
        "c1-gw",
        NODES,
        table("c1-gw", "filter", "INPUT", "-p udp -m udp --dport 4800 -j DROP", backend="legacy"),
    ),
    "FORWARD drops on the gateway": (
        "NF_FORWARD_DROP_GATEWAY",
        "c1-gw",
        FORWARDED | INSIDE_GATEWAY,
        table("c1-gw", "filter", "FORWARD", policy="DROP"),
    ),
    "a last rule drops on the gateway": (
        "NF_FORWARD_DROP_GATEWAY",
        "c1-gw",
        FORWARDED | INSIDE_GATEWAY,
        table("c1-gw", "filter", "FORWARD", "-j DROP"),
    ),
    "nftables drops on the gateway": (
        "NF_FORWARD_DROP_GATEWAY",
        "c1-gw",
        FORWARDED | INSIDE_GATEWAY,
        nft("c1-gw", "forward", "ct state established,related accept", "ct state new drop"),
    ),
    "the gateway's mangle drops": (
        "NF_FORWARD_DROP_GATEWAY",
        "c1-gw",
        FORWARDED,
        table("c1-gw", "mangle", "FORWARD", "-i vxlan-tunnel -j DROP", "-o vxlan-tunnel -j DROP"),
    ),
    "FORWARD drops on a node": (
        "NF_FORWARD_DROP_WORKER",
        "c1-w1",
        NODE_IN | INSIDE_NODE,
        table("c1-w1", "filter", "FORWARD", policy="DROP"),
    ),
    "a rule on a node rejects the other cluster": (
        "NF_FORWARD_DROP_WORKER",
        "c1-w1",
        NODE_IN,
        table("c1-w1", "filter", "FORWARD", "-s 10.9.0.0/16 -m conntrack --ctstate NEW -j REJECT", first=True),
    ),
    "a reject before Submariner's accept": (
        "NF_INPUT_REJECT_BEFORE_SUBMARINER",
        "c1-gw",
        NODES,
        table(
            "c1-gw", "filter", "INPUT", "-i eth0 -p udp -m multiport ! --dports 4490,4500,8472 -j REJECT", first=True
        ),
    ),
    "nftables rejects UDP/4800": (
        "NF_INPUT_REJECT_BEFORE_SUBMARINER",
        "c1-gw",
        NODES,
        nft("c1-gw", "input", "udp dport 4800 counter reject with icmpx admin-prohibited"),
    ),
    "INPUT drops what nobody accepts": (
        "NF_INPUT_REJECT_BEFORE_SUBMARINER",
        "c1-gw",
        NODES | UDP_TO_HOST,
        both(
            table(
                "c1-gw",
                "filter",
                "INPUT",
                ESTABLISHED,
                "-p icmp -j ACCEPT",
                "-p tcp -j ACCEPT",
                policy="DROP",
                without="SUBMARINER",
            ),
            table("c1-gw", "filter", "INPUT", "-p udp -m multiport --dports 4490,4500 -j ACCEPT", first=True),
        ),
    ),
}


@pytest.mark.parametrize(("code", "node", "breaks", "change"), FAULTS.values(), ids=FAULTS)
def test_named_alone(code: str, node: str, breaks: Signature, change: Change) -> None:
    assert found(failing(change(healthy()), breaks)) == [(code, "c1", node)]


@pytest.mark.parametrize("change", [change for _, _, _, change in FAULTS.values()], ids=FAULTS)
def test_what_no_path_depends_on_is_not_told(change: Change) -> None:
    assert found(change(healthy())) == []


HARMLESS: dict[str, Change] = {
    "Docker's policy with accepts": table(
        "c1-w1", "filter", "FORWARD", f"-d {PODS} -j ACCEPT", f"-s {PODS} -j ACCEPT", first=True, policy="DROP"
    ),
    "empty chains in the other backend": table("c1-w1", "nat", "DOCKER", policy="-", backend="legacy"),
    "a masquerade of Docker's own network": table(
        "c1-w1", "nat", "POSTROUTING", "-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", first=True
    ),
    "a masquerade with marks": nft("c1-w1", "postrouting", "meta mark and 0x4000 == 0x4000 masquerade", kind="nat"),
    "chance": table("c1-w1", "filter", "FORWARD", "-m limit --limit 1/s -j DROP", first=True),
    "Calico's chains with pools": both(
        lambda seen: changed(
            seen,
            "c1-w1",
            ipsets=lambda old: [
                *old,
                IpSet("cali40masq", "hash:net", frozenset({PODS})),
                IpSet("cali40all", "hash:net", frozenset({PODS, "10.9.0.0/16", "100.9.0.0/16"})),
            ],
        ),
        table(
            "c1-w1",
            "nat",
            "POSTROUTING",
            "-m set --match-set cali40masq src -m set ! --match-set cali40all dst -j MASQUERADE",
            first=True,
        ),
    ),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("breaks", [NODE_OUT, NODE_IN], ids=["out", "in"])
def test_rules_that_do_not_touch_these_packets_are_not_blamed(change: Change, breaks: Signature) -> None:
    seen = failing(change(healthy()), breaks)
    assert [code for code, _ in suspicions(seen) if code.startswith("NF_")] == []


def test_an_unread_packet_filter_proves_nothing() -> None:
    seen = failing(unread(healthy(), "c1-w1", "packet_filters"), NODES)
    assert [code for code, _ in suspicions(seen) if code.startswith("NF_")] == []


def test_a_path_that_works_refutes_a_drop() -> None:
    seen = failing(table("c1-w1", "filter", "FORWARD", policy="DROP")(healthy()), "pod.gw.{b}--pod.ngw.{a}--tcp")
    assert found(seen, BY_CODE["NF_FORWARD_DROP_WORKER"]) == []


def test_sources_with_globalnet_are_meant_to_change() -> None:
    seen = failing(table("c1-gw", "nat", "POSTROUTING", MASQUERADE, first=True)(healthy()), OUT_OF_CLUSTER)
    clusters = tuple(replace(cluster, globalnet=True) for cluster in seen.clusters)
    seen = replace(seen, topology=replace(seen.topology, clusters=clusters))
    assert found(seen, BY_CODE["NF_MASQUERADE_ON_GATEWAY"]) == []


def test_a_wrong_source_is_told_with_what_the_listener_saw() -> None:
    seen = failing(
        table("c1-gw", "nat", "POSTROUTING", MASQUERADE, first=True)(healthy()),
        OUT_OF_CLUSTER,
        verdict=Verdict.WRONG_SOURCE,
    )
    flows = tuple(replace(f, result=replace(f.result, source_seen="241.18.1.1")) if f.fails else f for f in seen.flows)
    ((_, suspicion),) = suspicions(replace(seen, flows=flows), BY_CODE["NF_MASQUERADE_ON_GATEWAY"])
    assert "the listener saw 241.18.1.1" in " ".join(suspicion.traffic)
    assert "MASQUERADE" in suspicion.state[0]


def test_the_rule_that_counted_is_evidence() -> None:
    rejecting = table("c1-gw", "filter", "INPUT", "-i eth0 -p udp -j REJECT", first=True)
    seen = failing(rejecting(healthy()), NODES)
    counted = [
        replace(f, rules=tuple(replace(r, packets=7) if "REJECT" in r.text else r for r in f.rules))
        for f in seen.sights["c1", "c1-gw"].before.packet_filters or ()
    ]
    seen = changed(seen, "c1-gw", after=True, packet_filters=tuple(counted))
    ((_, suspicion),) = suspicions(seen, BY_CODE["NF_INPUT_REJECT_BEFORE_SUBMARINER"])
    assert any("counted 7 packets" in text for text in suspicion.traffic)


SERVICE = "100.8.7.201"
"""Of the pod on the second node of c1, as the builder has it."""


def serves(node: str) -> Change:
    """kube-proxy translates every service of c1 there."""
    services = [
        f"-d 100.8.7.{200 + n}/32 -p {p} -j DNAT --to-destination 10.8.{n + 1}.11"
        for n in range(3)
        for p in ("tcp", "udp")
    ]
    return table(node, "nat", "KUBE-SERVICES", *services)


SERVED = both(*(serves(f"c1-{name}") for name in ("gw", "w1", "w2")))
NO_JUMPS = both(*(table("c1-gw", "nat", chain, without="KUBE-SERVICES") for chain in ("PREROUTING", "OUTPUT")))


def device(name: str, *ips: str) -> Change:
    return lambda seen: changed(
        seen,
        "c1-gw",
        links=lambda old: [*old, Link(name, "dummy", 1500)],
        addresses=lambda old: [*old, *(Address(name, ip, 32) for ip in ips)],
    )


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("NF_KUBEPROXY_DEAD_ON_REMOTE_GATEWAY", both(SERVED, NO_JUMPS)),
        ("NF_KUBEPROXY_DEAD_ON_REMOTE_GATEWAY", both(serves("c1-w1"), serves("c1-w2"))),
        (
            "NF_KUBEPROXY_DEAD_ON_REMOTE_GATEWAY",
            both(SERVED, table("c1-gw", "nat", "PREROUTING", "-i vxlan-tunnel -j ACCEPT", first=True)),
        ),
        ("NF_KUBEPROXY_DEAD_ON_REMOTE_GATEWAY", both(SERVED, table("c1-gw", "raw", "PREROUTING", "-j CT --notrack"))),
        ("NF_KUBEPROXY_IPVS", both(SERVED, NO_JUMPS, device("kube-ipvs0", SERVICE))),
        ("NF_KUBEPROXY_IPVS", both(serves("c1-w1"), device("kube-ipvs0"))),
    ],
    ids=["no jump", "no rules", "accepted before", "not tracked", "IPVS", "IPVS without addresses"],
)
def test_services_that_the_gateway_does_not_translate(code: str, change: Change) -> None:
    assert found(failing(change(healthy()), SERVICES)) == [(code, "c1", "c1-gw")]


@pytest.mark.parametrize(
    "change",
    [SERVED, lambda seen: seen, nft("c1-gw", "prerouting", "ip daddr . tcp dport vmap @services", kind="nat")],
    ids=["translated", "nobody has rules", "nftables mode"],
)
def test_kube_proxy_is_not_blamed_without_a_sign(change: Change) -> None:
    assert [code for code, _ in suspicions(failing(change(healthy()), SERVICES)) if "KUBEPROXY" in code] == []


def stale(answers_to: str, *, left_s: int = 29, destination: str = "10.9.1.1") -> Change:
    entry = Unanswered("udp", "240.18.1.2", destination, 40404, 40404, answers_to, left_s)
    return lambda seen: changed(seen, "c1-w1", unanswered=(entry,))


def test_a_connection_from_before_the_repair_is_told_though_nothing_fails() -> None:
    assert found(stale("240.18.1.2")(healthy())) == [("NF_CONNTRACK_STALE", "c1", "c1-w1")]
    ((_, suspicion),) = suspicions(stale("240.18.1.2")(healthy()), BY_CODE["NF_CONNTRACK_STALE"])
    assert "would be to 10.8.2.1 if it began now" in suspicion.state[0]


@pytest.mark.parametrize(
    "change",
    [
        stale("10.8.2.1"),
        stale("240.18.1.2", left_s=9),
        stale("240.18.1.2", destination="192.0.2.1"),
        both(stale("240.18.1.2"), snat("c1-w1")),
    ],
    ids=["one-way UDP as translated now", "not in use any more", "not to a cluster", "not repaired"],
)
def test_connections_without_an_answer_are_normal(change: Change) -> None:
    assert suspicions(change(healthy()), BY_CODE["NF_CONNTRACK_STALE"]) == []


POD = {"namespace": "probes", "labels": {"app": "probe"}}
NODES_BLOCK = {"ipBlock": {"cidr": "172.18.0.0/16"}}
OWN_CLUSTER_ONLY = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"namespaceSelector": {}}]}]}


def policy(spec: Mapping[str, object], *, namespace: str = "probes") -> Change:
    """With a probe pod for every pod address of c1, and a policy."""
    pods = [
        {
            "metadata": {**POD, "name": f"probe-{node}-{host}"},
            "spec": {"nodeName": f"c1-{name}"},
            "status": {"phase": "Running", "podIP": f"10.8.{node}.{host}"},
        }
        for node, name in enumerate(("gw", "w1", "w2"), 1)
        for host in (10, 11)
    ]
    return lambda seen: told(
        seen,
        "c1",
        pods=lambda old: [*old, *pods],
        namespaces=lambda old: [*old, {"metadata": {"name": "probes", "labels": {}}}],
        networkpolicies=({"metadata": {"name": "own-only", "namespace": namespace}, "spec": spec},),
    )


TO_PODS_HERE = Signature(("*.{b}--pod.*.{a}--*",))


@pytest.mark.parametrize(
    ("spec", "breaks"),
    [
        (OWN_CLUSTER_ONLY, TO_PODS_HERE),
        ({"podSelector": {}, "policyTypes": ["Ingress"]}, TO_PODS_HERE | Signature(("pod.*.{a}--pod.*.{a}--*",))),
        ({**OWN_CLUSTER_ONLY, "ingress": [{"from": [{"ipBlock": {"cidr": "10.8.0.0/16"}}]}]}, TO_PODS_HERE),
        (
            {
                "podSelector": {},
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"namespaceSelector": {}}, NODES_BLOCK]}],
            },
            Signature(("pod.*.{a}--*.{b}--*",)),
        ),
    ],
    ids=["own pods", "nobody", "own CIDR", "egress"],
)
def test_a_policy_that_forbids_the_other_cluster(spec: Mapping[str, object], breaks: Signature) -> None:
    seen = failing(policy(spec)(healthy()), breaks)
    assert found(seen) == [("NF_NETWORKPOLICY_REMOTE_SOURCE", "c1", "c1-gw")]
    ((_, suspicion),) = suspicions(seen, BY_CODE["NF_NETWORKPOLICY_REMOTE_SOURCE"])
    assert suspicion.object == "NetworkPolicy probes/own-only"


def test_rules_of_a_policy_are_not_a_cause_beside_it() -> None:
    dropping = both(
        policy(OWN_CLUSTER_ONLY),
        table("c1-w1", "filter", "FORWARD", "-d 10.8.2.11/32 -j POLICY", first=True),
        table("c1-w1", "filter", "POLICY", "-s 10.9.0.0/16 -j DROP", policy="-"),
    )
    assert found(failing(dropping(healthy()), TO_PODS_HERE)) == [("NF_NETWORKPOLICY_REMOTE_SOURCE", "c1", "c1-gw")]


@pytest.mark.parametrize(
    "change",
    [
        policy({**OWN_CLUSTER_ONLY, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
        policy({**OWN_CLUSTER_ONLY, "podSelector": {"matchLabels": {"app": "other"}}}),
        policy(OWN_CLUSTER_ONLY, namespace="default"),
    ],
    ids=["it is allowed", "another pod", "another namespace"],
)
def test_policies_about_others_are_not_blamed(change: Change) -> None:
    assert suspicions(failing(change(healthy()), TO_PODS_HERE), BY_CODE["NF_NETWORKPOLICY_REMOTE_SOURCE"]) == []


def test_policies_that_were_not_read_are_not_blamed() -> None:
    seen = failing(policy(OWN_CLUSTER_ONLY)(healthy()), TO_PODS_HERE)
    assert suspicions(replace(seen, objects={}), BY_CODE["NF_NETWORKPOLICY_REMOTE_SOURCE"]) == []


def test_routes_without_a_source_need_no_translation() -> None:
    """A host that already sends with its CNI address."""
    hinted = both(
        snat("c1-w1"),
        lambda seen: changed(
            seen,
            "c1-w1",
            routes=lambda old: [replace(r, source="10.8.2.1") if r.device == "vx-submariner" else r for r in old],
        ),
    )
    assert found(failing(hinted(healthy()), HOST_ONLY), BY_CODE["NF_HOSTNET_SNAT_MISSING"]) == []
