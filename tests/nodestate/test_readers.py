"""Readers on recorded output: nodes programmed by Submariner's own agents, and the shapes other tools and versions
print."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_submariner.model.nodestate import Address, FdbEntry, IpSet, Link, Neighbour, Route, Rule
from pytest_submariner.nodestate import conntrack, ipsets, links, packetfilter, routes, sysctls
from pytest_submariner.nodestate.section import Section, Unreadable

OBSERVED = Path(__file__).parent / "observed"


def observed(role: str, file: str) -> Section:
    return Section((OBSERVED / role / file).read_text())


def test_vxlan_devices_of_a_gateway_node() -> None:
    found = {link.name: link for link in links.links(observed("gateway", "ip-link.json"))}
    assert found["vx-submariner"] == Link("vx-submariner", "vxlan", 1450, vni=100, port=4800, learning=False)
    assert found["vxlan-tunnel"] == Link("vxlan-tunnel", "vxlan", 1450, vni=1000, port=4500, learning=False)
    assert found["lo"] == Link("lo", "", 65536)
    assert found["eth0"].kind == "veth"


def test_vx_submariner_of_a_non_gateway_node_points_to_the_gateway() -> None:
    found = {link.name: link for link in links.links(observed("non-gateway", "ip-link.json"))}
    assert found["vx-submariner"].remote == "172.18.0.11"


def test_a_link_that_is_down_and_a_vxlan_that_learns() -> None:
    text = """[{},{"ifname":"v","flags":["BROADCAST"],"mtu":1400,"linkinfo":{"info_kind":"vxlan",
        "info_data":{"id":7,"remote":"10.0.0.1","port":4789,"learning":true}}}]"""
    assert links.links(Section(text)) == (Link("v", "vxlan", 1400, False, 7, 4789, "10.0.0.1", True),)


def test_addresses_are_ipv4() -> None:
    found = links.addresses(observed("non-gateway", "ip-addr.json"))
    assert Address("vx-submariner", "240.18.0.12", 8) in found
    assert not [a for a in found if ":" in a.ip]


def test_fdb_of_one_device_and_of_all() -> None:
    one = links.fdb(observed("gateway", "bridge-fdb-vx-submariner.json"), "vx-submariner")
    assert one == tuple(FdbEntry("vx-submariner", "00:00:00:00:00:00", dst) for dst in ("172.18.0.11", "172.18.0.12"))
    text = """[{"mac":"33:33:00:00:00:01","ifname":"eth0","flags":["self"],"state":"permanent"},
        {"mac":"22:af:ad:08:12:dd","ifname":"v","dst":"10.0.0.1","flags":["self"],"state":""}]"""
    assert links.fdb(Section(text)) == (FdbEntry("v", "22:af:ad:08:12:dd", "10.0.0.1", ""),)


def test_routes_of_a_non_gateway_node() -> None:
    found = routes.routes(observed("non-gateway", "ip-route.json"))
    assert Route("10.9.0.0/16", "vx-submariner", gateway="240.18.0.11", protocol="static") in found
    assert Route("default", "eth0", gateway="172.18.0.1") in found
    assert {route.table for route in found} == {"main"}
    assert not [r for r in found if ":" in r.destination]


def test_routes_of_a_gateway_node_in_submariners_tables() -> None:
    found = routes.routes(observed("gateway", "ip-route.json"))
    assert [r for r in found if r.table == "100"] == [
        Route(cidr, "vxlan-tunnel", "100", "241.18.0.21", "10.8.1.1", 100) for cidr in ("10.9.0.0/16", "100.9.0.0/16")
    ]
    assert [r for r in found if r.table == "150"] == [
        Route(cidr, "eth0", "150", None, "10.8.1.1", 0, "static", "link") for cidr in ("10.9.0.0/16", "100.9.0.0/16")
    ]


def test_a_multipath_route_is_one_per_next_hop_and_ipv6_and_local_ones_are_left_out() -> None:
    text = """[{"dst":"10.9.0.0/16","protocol":"static","flags":[],"nexthops":[
        {"gateway":"10.0.0.1","dev":"a","weight":1,"flags":[]},{"gateway":"10.0.0.2","dev":"b","weight":1,"flags":[]}]},
        {"dst":"default","gateway":"fe80::1","dev":"a","flags":[],"pref":"medium"},
        {"type":"blackhole","dst":"10.10.0.0/16","table":"100","flags":[]},
        {"type":"local","dst":"10.8.0.1","dev":"a","table":"local","flags":[]}]"""
    assert routes.routes(Section(text)) == (
        Route("10.9.0.0/16", "a", gateway="10.0.0.1", protocol="static"),
        Route("10.9.0.0/16", "b", gateway="10.0.0.2", protocol="static"),
        Route("10.10.0.0/16", "", "100", kind="blackhole"),
    )


def test_rules() -> None:
    assert Rule(150, "150") in routes.rules(observed("gateway", "ip-rule.json"))
    text = (
        '[{"priority":10,"src":"10.8.0.0","srclen":16,"table":"7"},{"priority":11,"src":"all","action":"unreachable"}]'
    )
    assert routes.rules(Section(text)) == (Rule(10, "7", "10.8.0.0/16"), Rule(11, "", action="unreachable"))


def test_rules_that_ask_for_more_than_addresses_say_so() -> None:
    text = (
        '[{"priority":9,"src":"all","fwmark":"0x200","fwmask":"0xf00","table":"2004"},'
        '{"priority":10,"not":null,"src":"all","fwmark":"0xca6c","table":"51820"},{"priority":11,"src":"all","iif":"lo","table":"7"}]'
    )
    selectors = [rule.selector for rule in routes.rules(Section(text))]
    assert selectors == ["fwmark 0x200 fwmask 0xf00", "not fwmark 0xca6c", "iif lo"]


def test_neighbours_that_need_no_arp() -> None:
    """What somebody wrote is told, what the kernel keeps for broadcast, multicast and loopback is not."""
    text = """[{"dst":"240.18.1.1","dev":"vx-submariner","lladdr":"0a:00:00:00:00:99","state":["NOARP"]},
    {"dst":"0.0.0.0","dev":"lo","lladdr":"00:00:00:00:00:00","state":["NOARP"]},
    {"dst":"10.0.0.255","dev":"eth0","lladdr":"ff:ff:ff:ff:ff:ff","state":["NOARP"]},
    {"dst":"224.0.0.22","dev":"eth0","lladdr":"01:00:5e:00:00:16","state":["NOARP"]}]"""
    assert routes.neighbours(Section(text)) == (Neighbour("vx-submariner", "240.18.1.1", "0a:00:00:00:00:99", "NOARP"),)


def test_neighbours() -> None:
    text = """[{"dst":"240.18.0.11","dev":"vx-submariner","lladdr":"22:af:ad:08:12:dd","state":["REACHABLE"]},
        {"dst":"240.18.0.99","dev":"vx-submariner","state":["FAILED"]},{"dst":"fe80::1","dev":"eth0","state":["STALE"]}]"""
    assert routes.neighbours(Section(text)) == (
        Neighbour("vx-submariner", "240.18.0.11", "22:af:ad:08:12:dd", "REACHABLE"),
        Neighbour("vx-submariner", "240.18.0.99", None, "FAILED"),
    )


def test_packet_filter_in_order_with_policies() -> None:
    found = packetfilter.parse(observed("non-gateway", "iptables-save.txt").text)
    assert found.backend == "nft"
    assert found.policies["nat", "SUBMARINER-POSTROUTING"] == "-"
    assert found.policies["filter", "FORWARD"] == "ACCEPT"
    assert found.chain("nat", "POSTROUTING")[0].text == "-j SUBMARINER-POSTROUTING"
    assert len(found.chain("nat", "SUBMARINER-POSTROUTING")) == 5
    assert found.rules[0].packets is None


def test_counters_and_where_a_rule_is() -> None:
    text = """# Generated by iptables-save v1.8.9 (nf_tables)
*nat
:POSTROUTING ACCEPT [7:420]
:SUBMARINER-POSTROUTING - [0:0]
[12:1008] -A POSTROUTING -j SUBMARINER-POSTROUTING
[3:252] -A SUBMARINER-POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.1.1
COMMIT
"""
    (snat,) = packetfilter.find_rules([packetfilter.parse(text)], "nat", "SUBMARINER-POSTROUTING", "-j SNAT")
    assert (snat.packets, snat.octets) == (3, 252)
    assert snat.text == "-s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.1.1"


SAVE = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
ABSENT = Section("", "not found")


@pytest.mark.parametrize(
    ("nft", "legacy", "plain", "backends"),
    [
        (Section(SAVE), Section(SAVE), Section(SAVE), ["nft", "legacy"]),
        (Section(SAVE), Section(""), Section(SAVE), ["nft"]),
        (ABSENT, ABSENT, Section("# Generated by iptables-save v1.8.9 (nf_tables)\n" + SAVE), ["nft"]),
        (ABSENT, ABSENT, Section("# Generated by iptables-save v1.6.1\n" + SAVE), ["legacy"]),
        (Section(""), Section(""), Section(""), []),
    ],
)
def test_backends(nft: Section, legacy: Section, plain: Section, backends: list[str]) -> None:
    found, unread = packetfilter.packet_filters(nft, legacy, plain)
    assert [f.backend for f in found] == backends
    assert unread == {}


def test_one_backend_that_cannot_be_read_is_told() -> None:
    found, unread = packetfilter.packet_filters(Section(SAVE), Section("", "Permission denied"), ABSENT)
    assert ([f.backend for f in found], unread) == (["nft"], {"legacy": "Permission denied"})


def test_no_tool_at_all_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="not found"):
        packetfilter.packet_filters(ABSENT, ABSENT, ABSENT)


def test_ipsets() -> None:
    assert ipsets.ipsets(observed("gateway", "ipset-save.txt")) == (
        IpSet("SUBMARINER-REMOTECIDRS", "hash:net", frozenset({"100.9.0.0/16", "10.9.0.0/16"})),
        IpSet("SUBMARINER-LOCALCIDRS", "hash:net", frozenset({"100.8.0.0/16", "10.8.0.0/16"})),
    )


def test_sysctls() -> None:
    text = "/proc/sys/net/ipv4/conf/cni0/rp_filter:2\n/proc/sys/net/ipv4/conf/eth0.5/rp_filter:0\n/proc/sys/net/ipv4/ip_forward:1\n"
    assert sysctls.sysctls(Section(text)) == {
        "net.ipv4.conf.cni0.rp_filter": "2",
        "net.ipv4.conf.eth0/5.rp_filter": "0",
        "net.ipv4.ip_forward": "1",
    }


@pytest.mark.parametrize(
    "reader", [links.links, links.fdb, routes.routes, routes.rules, ipsets.ipsets, sysctls.sysctls]
)
def test_a_failed_command_is_unreadable_for_its_reason(reader: object) -> None:
    assert callable(reader)
    with pytest.raises(Unreadable, match="no such program"):
        reader(Section("", "no such program"))


def test_a_tool_without_json_is_named() -> None:
    with pytest.raises(Unreadable, match="ip prints no JSON"):
        links.links(Section("1: lo: <LOOPBACK,UP> mtu 65536"))


PING = (
    "ipv4     2 icmp     1 29 src=240.18.0.3 dst=240.18.0.2 type=8 code=0 id=77 "
    "src=240.18.0.2 dst=10.8.1.1 type=0 code=0 id=77 mark=0 zone=0 use=2"
)
TCP = (
    "ipv4     2 tcp      6 117 SYN_SENT src=10.8.1.5 dst=100.9.0.7 sport=40000 dport=80 [UNREPLIED] "
    "src=10.9.1.5 dst=10.8.1.5 sport=8080 dport=40000 mark=0 secctx=null use=2"
)


def test_a_tracked_ping_shows_its_source_before_and_after() -> None:
    found = conntrack.parse_line(PING)
    assert found is not None
    assert (found.original.source, found.rewritten_source, found.original.icmp_id) == ("240.18.0.3", "10.8.1.1", 77)
    assert found.has_reply


def test_a_tracked_connection_without_reply() -> None:
    found = conntrack.parse_line(TCP)
    assert found is not None
    assert (found.protocol, found.rewritten_source, found.has_reply) == ("tcp", None, False)
    assert (found.original.destination_port, found.reply.source) == (80, "10.9.1.5")


@pytest.mark.parametrize("line", ["", "ipv6     10 tcp 6 1 src=::1 dst=::1", "conntrack v1.4.7: 3 flow entries shown."])
def test_other_lines_are_left_out(line: str) -> None:
    assert conntrack.parse_line(line) is None
