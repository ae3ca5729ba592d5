"""What always goes with a failing path: gateways' routes, tunnels, packet filter, logs, and how far its packets came."""

from __future__ import annotations

from dataclasses import replace

import pytest
from captures import Road, flow_of, request
from observations import changed, counted, failing, healthy

from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.sysdump import excerpts
from pytest_submariner.diagnose.sysdump.surroundings import surroundings
from pytest_submariner.diagnose.tracing.ladder import ladder
from pytest_submariner.model.filters import NftChain, NftRule, NftTable, PacketFilter
from pytest_submariner.model.nodestate import Link, LinkStats
from pytest_submariner.model.tunnels import WireGuardDevice, WireGuardPeer, XfrmPolicy, XfrmState, XfrmTemplate

PATH = "pod.ngw.c1--pod.gw.c2--tcp"


def sections(seen: Observation, path: str = PATH) -> dict[str, str]:
    return {section.title: section.text for section in surroundings(seen, flow_of(seen, path))}


def test_a_path_between_clusters_has_its_nodes_gateways_connections_and_logs() -> None:
    seen = healthy()
    objects = replace(seen.objects["c1"], logs={"submariner-routeagent-x/routeagent": ("E failed to add route",)})
    found = sections(replace(seen, objects={**seen.objects, "c1": objects}))
    nodes = ["c1-w1 (c1, non-gateway)", "c1-gw (c1, gateway)", "c2-gw (c2, gateway)"]
    kinds = ["Routes and policy rules of", "Tunnels of", "Packet filter of"]
    assert list(found) == [
        *(f"{kind} {node}" for node in nodes for kind in kinds),
        "Connections of the gateways of c1",
        "What agents and CNI of c1 logged",
        "Connections of the gateways of c2",
    ]
    assert found["What agents and CNI of c1 logged"] == "submariner-routeagent-x/routeagent: E failed to add route"
    assert "to c2 at 172.18.2.1: connected" in found["Connections of the gateways of c1"]


def test_the_gateways_routes_to_the_other_side() -> None:
    text = sections(healthy())["Routes and policy rules of c1-gw (c1, gateway)"]
    assert "100: from all to all lookup 100" in text
    assert "10.9.0.0/16 via 241.18.2.1 dev vxlan-tunnel src 10.8.1.1 metric 100 proto boot table 100" in text
    assert "default via 172.18.0.1 dev eth0" in text


def test_routes_of_no_interest_are_left_out() -> None:
    seen = healthy()
    (route, *_) = seen.sights["c1", "c1-gw"].routes
    foreign = replace(route, destination="192.168.7.0/24", gateway=None, device="eth9", table="main")
    within = replace(foreign, destination="10.9.1.0/24", device="docker0")
    seen = changed(seen, "c1-gw", routes=lambda routes: [*routes, foreign, within])
    text = sections(seen)["Routes and policy rules of c1-gw (c1, gateway)"]
    assert "192.168.7.0/24" not in text
    assert "10.9.1.0/24 dev docker0" in text


def test_tunnels_with_counters_and_how_they_rose() -> None:
    seen = counted(healthy(), "c1-gw")

    def counting(packets: int) -> list[Link]:
        found = seen.sights["c1", "c1-gw"].before.links or ()
        return [replace(link, stats=LinkStats(rx_packets=packets, tx_packets=2 * packets)) for link in found]

    seen = changed(changed(seen, "c1-gw", links=counting(10)), "c1-gw", after=True, links=counting(13))
    text = sections(seen)["Tunnels of c1-gw (c1, gateway)"]
    assert "vxlan-tunnel: vxlan UP mtu 1450" in text
    assert "id 1000 dstport 4500 received 13 sent 26 dropped 0/0 (+3/+6 while probes ran)" in text
    assert "fdb 00:00:00:00:00:00 dev vxlan-tunnel dst 172.18.2.1 permanent" in text


def test_encrypted_tunnels_without_their_keys() -> None:
    peer = WireGuardPeer("PUBLIC=", "172.18.2.1:4500", ("10.9.0.0/16",), 1_732_000_000, 11, 12)
    template = XfrmTemplate("172.18.1.1", "172.18.2.1", "esp", "tunnel", 1)
    seen = changed(
        healthy(cable="libreswan"),
        "c1-gw",
        wireguard=(WireGuardDevice("submariner", "OWN=", 4500, (peer,)),),
        xfrm_states=(XfrmState("172.18.1.1", "172.18.2.1", "esp", "0x1", "tunnel", packets=7),),
        xfrm_policies=(XfrmPolicy("10.8.0.0/16", "10.9.0.0/16", "out", templates=(template,)),),
    )
    text = sections(seen)["Tunnels of c1-gw (c1, gateway)"]
    assert "peer PUBLIC= endpoint 172.18.2.1:4500 allowed 10.9.0.0/16 handshake 1732000000 received 11 sent 12" in text
    assert "xfrm state 172.18.1.1 > 172.18.2.1 esp spi 0x1 tunnel  packets 7" in text
    assert "xfrm policy out 10.8.0.0/16 > 10.9.0.0/16 allow tmpl 172.18.1.1 > 172.18.2.1 tunnel" in text


def test_no_tunnel_at_all_is_said() -> None:
    seen = changed(
        healthy(), "c1-w1", links=lambda links: [x for x in links if x.name == "eth0"], fdb=(), neighbours=()
    )
    assert "vx-submariner, vxlan-tunnel is there" in sections(seen)["Tunnels of c1-w1 (c1, non-gateway)"]


def test_the_packet_filter_with_counters_chains_and_policies() -> None:
    def hits(filters: tuple[PacketFilter, ...], packets: int) -> list[PacketFilter]:
        (nft, *others) = filters
        rules = tuple(replace(rule, packets=packets) for rule in nft.rules)
        policies = {**nft.policies, ("filter", "FORWARD"): "DROP"}
        counts = {("filter", "FORWARD"): packets}
        return [replace(nft, rules=rules, policies=policies, policy_packets=counts), *others]

    seen = counted(healthy(), "c1-gw")
    for after in (False, True):
        seen = changed(seen, "c1-gw", after=after, packet_filters=lambda f, after=after: hits(f, 9 if after else 4))
    text = sections(seen)["Packet filter of c1-gw (c1, gateway)"]
    lines = text.splitlines()
    assert lines[0] == "# iptables, nft backend"
    assert "-t filter -P FORWARD DROP [4 +5]" in lines
    assert "-t nat -N SUBMARINER-POSTROUTING" in lines
    assert (
        "-t nat -A SUBMARINER-POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.1.1 [4 +5]" in lines
    )
    assert len(lines) == len(set(lines))
    assert "KUBE-SVC-" not in text.replace("-j KUBE-SVC-", "")


def test_native_tables_are_shown() -> None:
    chain = NftChain(
        "c", (NftRule("udp dport 4800 counter packets 3 bytes 90 drop", "drop"),), "filter", "input", -10, "accept"
    )
    seen = changed(healthy(), "c1-gw", native_tables=(NftTable("inet", "guard", (chain,)),))
    text = sections(seen)["Packet filter of c1-gw (c1, gateway)"]
    assert "# nft table inet guard\nchain c hook input priority -10 policy accept\n  udp dport 4800 counter" in text


def test_what_was_not_read_is_said() -> None:
    seen = healthy(skip=("c2-gw",))
    seen = changed(seen, "c1-gw", routes=None, packet_filters=None, unread={"routes": "ip: not found"})
    found = sections(seen)
    assert found["c2-gw (c2, gateway): not read"] == "this node's state could not be read"
    assert found["Routes and policy rules of c1-gw (c1, gateway)"] == "routes could not be read: ip: not found"
    assert "packet_filters could not be read: no reason given" in found["Packet filter of c1-gw (c1, gateway)"]
    lost = replace(seen.objects["c1"], found={}, unread={"gateways": "forbidden"})
    found = sections(replace(seen, objects={**seen.objects, "c1": lost}))
    assert found["Connections of the gateways of c1"] == "Gateway objects could not be read: forbidden"


def test_inside_a_cluster_no_gateway_that_is_not_an_end() -> None:
    found = sections(healthy(), "pod.ngw.c1--pod.ngw.c1--tcp")
    assert not any("c1-gw" in title or "Connections" in title for title in found)
    assert any("c1-w2" in title for title in found)


def test_the_trace_comes_first() -> None:
    seen = failing(healthy(), PATH)
    flow = flow_of(seen, PATH)
    way = Road(flow, ladder(flow, seen.topology, seen.sights), seen)
    way.send(request(flow), to=5)
    trace = replace(way.trace(), lines=("0.0000 s  c1-w1 veth1 in: …",), notes=("a note",), tools={"c1-w1": "tcpdump"})
    found = sections(replace(seen, traces={flow.id: trace}))
    assert list(found)[:2] == [f"Trace of {PATH}", f"Packets of {PATH}"]
    assert "seen up to request 5" in found[f"Trace of {PATH}"]
    assert found[f"Trace of {PATH}"].endswith("a note\nwatched: c1-w1 by tcpdump")


@pytest.mark.parametrize(("lines", "shown"), [(3, 3), (500, excerpts.LINES + 1)])
def test_texts_are_bounded(lines: int, shown: int) -> None:
    text = excerpts.bounded("x" * 1000 for _ in range(lines))
    assert len(text.splitlines()) == shown
    assert max(map(len, text.splitlines())) <= excerpts.WIDTH


def test_a_large_packet_filter_is_bounded() -> None:
    def many(filters: tuple[PacketFilter, ...]) -> list[PacketFilter]:
        (nft, *others) = filters
        rule = next(rule for rule in nft.rules if rule.chain == "POSTROUTING")
        return [
            replace(nft, rules=(*nft.rules, *[replace(rule, text=f"-s 10.0.{n}.0/24") for n in range(255)])),
            *others,
        ]

    text = sections(changed(healthy(), "c1-gw", packet_filters=many))["Packet filter of c1-gw (c1, gateway)"]
    assert len(text.splitlines()) == 2 * excerpts.LINES + 1
    assert "more lines" in text.splitlines()[-1]
