"""What packet filters would do to a packet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_submariner.diagnose.packetfilter.addresses import Known
from pytest_submariner.diagnose.packetfilter.firewall import Firewall
from pytest_submariner.diagnose.packetfilter.iptables import understand
from pytest_submariner.diagnose.packetfilter.nftables import understand as understand_nft
from pytest_submariner.diagnose.packetfilter.packet import Answer, Hook, Packet, State
from pytest_submariner.model.filters import IpSet, NftChain, NftRule, NftTable, PacketFilterRule
from pytest_submariner.model.nodestate import Address, NodeState
from pytest_submariner.nodestate.packetfilter import parse

POD = Packet("10.8.2.5", "10.9.1.5", "tcp", destination_port=29240, in_device="cni0", out_device="vx-submariner")
UDP = replace(POD, protocol="udp")
PING = replace(POD, protocol="icmp", destination_port=None)
REPLY = replace(
    POD,
    source="10.9.1.5",
    destination="10.8.2.5",
    in_device="eth0",
    out_device="cni0",
    destination_port=None,
    source_port=29240,
    state=State.ESTABLISHED,
    is_reply=True,
)
KNOWN = Known(
    {
        "LOCAL": IpSet("LOCAL", "hash:net", frozenset({"10.8.0.0/16"})),
        "PAIRS": IpSet("PAIRS", "hash:ip,port", frozenset({"10.8.2.5,tcp:80"})),
    },
    frozenset({"10.8.2.1", "172.18.1.2"}),
)
YES, NO, MAY = Answer.YES, Answer.NO, Answer.MAY


@pytest.mark.parametrize(
    ("text", "packet", "answer"),
    [
        ("-s 10.8.0.0/16 -d 10.9.0.0/16 -j X", POD, YES),
        ("-s 10.8.0.0/255.255.0.0 -j X", POD, YES),
        ("! -s 10.8.0.0/16 -j X", POD, NO),
        ("! -d 10.8.0.0/16 -j X", POD, YES),
        ("-s 10.8.2.5/32 -j X", POD, YES),
        ("-i cni+ ! -o eth0 -j X", POD, YES),
        ("-o eth+ -j X", POD, NO),
        ("-p tcp -m tcp --dport 29000:29999 -j X", POD, YES),
        ("-p tcp -m tcp --dport 29000:29999 -j X", replace(POD, destination_port=None), MAY),
        ("-p udp -m udp --dport 29240 -j X", POD, NO),
        ("-p 17 -j X", UDP, YES),
        ("-p udp -m multiport ! --dports 4490,4500,8472 -j X", UDP, YES),
        ("-p udp -m multiport --dports 29240,4500 -j X", UDP, YES),
        ("-m conntrack --ctstate RELATED,ESTABLISHED -j X", POD, NO),
        ("-m conntrack --ctstate RELATED,ESTABLISHED -j X", REPLY, YES),
        ("-m conntrack --ctstate DNAT -j X", POD, MAY),
        ("-m state ! --state NEW -j X", POD, NO),
        ("-p tcp -m tcp --tcp-flags SYN,RST SYN -j X", POD, YES),
        ("-p tcp -m tcp --tcp-flags SYN,RST SYN -j X", REPLY, MAY),
        ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j X", POD, NO),
        ("-m mark --mark 0x4000/0x4000 -j X", POD, NO),
        ("-m mark ! --mark 0x4000/0x4000 -j X", POD, YES),
        ("-m mark --mark 0x4000/0x4000 -j X", POD.with_mark(0xC4000), YES),
        ("-m mark --mark 0x4000/0x4000 -j X", POD.with_mark(None), MAY),
        ("-m connmark --mark 0x1 -j X", POD, MAY),
        ("-m set --match-set LOCAL src -j X", POD, YES),
        ("-m set --match-set LOCAL dst -j X", POD, NO),
        ("-m set ! --match-set LOCAL dst -j X", POD, YES),
        ("-m set --match-set GONE dst -j X", POD, MAY),
        ("-m set --match-set PAIRS src,src -j X", POD, MAY),
        ("-m addrtype --dst-type LOCAL -j X", POD, NO),
        ("-m addrtype ! --dst-type LOCAL -j X", POD, YES),
        ("-m addrtype --dst-type LOCAL -j X", replace(POD, destination="172.18.1.2"), YES),
        ("-m iprange --src-range 10.8.2.1-10.8.2.9 -j X", POD, YES),
        ("-p icmp -m icmp --icmp-type 8 -j X", PING, YES),
        ("-p icmp -m icmp --icmp-type 3/4 -j X", PING, NO),
        ('-m comment --comment "-s 1.2.3.4/32 it\'s" -j X', POD, YES),
        ("-m statistic --mode random --probability 0.3 -j X", POD, MAY),
        ("-s 10.7.0.0/16 -m statistic --mode random --probability 0.3 -j X", POD, NO),
        ("-f -j X", POD, NO),
        ("-m rpfilter --invert -j X", POD, MAY),
        ("-j X", POD, YES),
        ('--comment "not closed', POD, MAY),
    ],
)
def test_matches_of_iptables(text: str, packet: Packet, answer: Answer) -> None:
    assert understand(PacketFilterRule("filter", "FORWARD", text)).answer(packet, KNOWN) is answer


@pytest.mark.parametrize(
    ("text", "packet", "answer"),
    [
        ("ip saddr 10.8.0.0/16 ip daddr != 10.8.0.0/16 counter packets 1 bytes 2 masquerade", POD, YES),
        ("ip saddr != 10.8.0.0/16 drop", POD, NO),
        ("ip saddr { 10.7.0.0/16, 10.8.0.0/16 } drop", POD, YES),
        ("ip saddr @pods drop", POD, MAY),
        ("ip saddr . ip daddr @pairs drop", POD, MAY),
        ('iifname "cni0" oifname { "eth0", "vx-*" } drop', POD, YES),
        ("udp dport 4800 counter packets 0 bytes 0 reject with icmpx admin-prohibited", UDP, NO),
        ("udp dport { 4500, 29240 } drop", UDP, YES),
        ("udp dport 29000-29999 drop", UDP, YES),
        ("udp dport != 29240 drop", POD, NO),
        ("udp dport != 29241 drop", POD, NO),
        ("meta l4proto { tcp, udp } th dport 29240 drop", POD, YES),
        ("ct state established,related accept", POD, NO),
        ("ct state established,related accept", REPLY, YES),
        ("ct state vmap { established : accept, invalid : drop }", POD, MAY),
        ("ct state new numgen random mod 100 < 50 counter packets 3 bytes 9 drop", POD, MAY),
        ("limit rate 10/second accept", POD, MAY),
        ("ip6 saddr fe80::/10 drop", POD, NO),
        ("meta nfproto ipv6 drop", POD, NO),
        ("fib daddr type local drop", POD, NO),
        ("icmp type destination-unreachable icmp code 4 drop", PING, NO),
        ("icmp type echo-request drop", PING, YES),
        ("udp dport 29240 @th,312,8 6 counter packets 0 bytes 0 udp checksum set 48879", UDP, MAY),
        ('drop comment "ip saddr 1.2.3.4"', POD, YES),
    ],
)
def test_matches_of_nftables(text: str, packet: Packet, answer: Answer) -> None:
    assert understand_nft(NftRule(text)).answer(packet, KNOWN) is answer


@pytest.mark.parametrize(
    ("text", "verdict", "to"),
    [
        ("ip saddr 10.8.0.0/16 snat to 10.8.2.1", "SNAT", "10.8.2.1"),
        ("dnat to 10.8.2.5:8080", "DNAT", "10.8.2.5"),
        ("counter packets 0 bytes 0 jump pods", "JUMP", "pods"),
        ("tcp option maxseg size set rt mtu", "TCPMSS", ""),
        ("meta mark set 0x1 accept", "ACCEPT", ""),
        ("counter packets 0 bytes 0", "", ""),
    ],
)
def test_verdicts_of_nftables(text: str, verdict: str, to: str) -> None:
    found = understand_nft(NftRule(text))
    assert (found.verdict, found.to) == (verdict, to)


def firewall(saved: str = "", *, native: tuple[NftTable, ...] = (), legacy: str = "") -> Firewall:
    filters = tuple(parse(text, backend) for text, backend in ((saved, "nft"), (legacy, "legacy")) if text)
    addresses = (Address("cni0", "10.8.2.1", 24), Address("eth0", "172.18.1.2", 16))
    return Firewall(NodeState("c1-w1", packet_filters=filters, native_tables=native, addresses=addresses))


FORWARD = """*filter
:FORWARD {policy} [0:0]
:OURS - [0:0]
:SUBMARINER-FORWARD - [0:0]
-A FORWARD -j SUBMARINER-FORWARD
{rules}
-A SUBMARINER-FORWARD -o vx-submariner -j ACCEPT
COMMIT
"""


def forward(*rules: str, policy: str = "ACCEPT") -> Firewall:
    return firewall(FORWARD.format(policy=policy, rules="\n".join(rules)))


def verdicts(found: Firewall, packet: Packet, hook: Hook = Hook.FORWARD) -> list[tuple[str, bool]]:
    return [(step.text, step.sure) for step in found.drops(hook, packet)]


def test_a_policy_drops_what_no_rule_accepts() -> None:
    node = forward("-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT", policy="DROP")
    assert verdicts(node, POD) == []  # -o vx-submariner
    assert verdicts(node, REPLY) == []
    assert verdicts(node, replace(REPLY, state=State.NEW)) == [("policy DROP", True)]


def test_after_what_may_accept_a_drop_is_not_sure() -> None:
    node = forward("-A FORWARD -m set --match-set GONE src -j ACCEPT", "-A FORWARD -j DROP")
    assert verdicts(node, REPLY) == [("-j DROP", False)]


def test_what_may_return_leaves_the_calling_chain_sure() -> None:
    node = forward(
        "-A FORWARD -j OURS", "-A FORWARD -j DROP", "-A OURS -m limit --limit 1/s -j RETURN", "-A OURS -j LOG"
    )
    assert verdicts(node, REPLY) == [("-j DROP", True)]
    node = forward("-A FORWARD -j OURS", "-A OURS -m limit --limit 1/s -j RETURN", "-A OURS -j DROP")
    assert verdicts(node, REPLY) == [("-j DROP", False)]


def test_a_chain_that_returns_goes_on_where_it_was_called() -> None:
    node = forward(
        "-A FORWARD -j OURS",
        "-A FORWARD -s 10.9.0.0/16 -j REJECT",
        "-A OURS -s 10.9.0.0/16 -j RETURN",
        "-A OURS -j ACCEPT",
    )
    assert verdicts(node, REPLY) == [("-s 10.9.0.0/16 -j REJECT", True)]


def test_goto_does_not_come_back() -> None:
    node = forward("-A FORWARD -g OURS", "-A FORWARD -j DROP", "-A OURS -d 192.0.2.0/24 -j DROP")
    assert verdicts(node, REPLY) == []


def test_an_unknown_target_may_end_it() -> None:
    assert verdicts(forward("-A FORWARD -j GEOIP", "-A FORWARD -j DROP"), REPLY) == [("-j DROP", False)]


def test_chains_that_call_each_other_end() -> None:
    node = forward("-A FORWARD -j OURS", "-A OURS -j OURS")
    assert verdicts(node, REPLY) == []


def test_marks_are_followed() -> None:
    node = forward(
        "-A FORWARD -s 10.9.0.0/16 -j MARK --set-xmark 0x4000/0x4000", "-A FORWARD -m mark --mark 0x4000/0x4000 -j DROP"
    )
    assert verdicts(node, REPLY) == [("-m mark --mark 0x4000/0x4000 -j DROP", True)]
    node = forward(
        "-A FORWARD -m limit --limit 1/s -j MARK --set-xmark 0x4000/0x4000",
        "-A FORWARD -m mark --mark 0x4000/0x4000 -j DROP",
    )
    assert verdicts(node, REPLY) == [("-m mark --mark 0x4000/0x4000 -j DROP", False)]


def native(
    hook: str, *rules: str, kind: str = "filter", priority: int = 0, policy: str = "accept", device: str | None = None
) -> NftTable:
    chain = NftChain("all", tuple(NftRule(text) for text in rules), kind, hook, priority, policy, device)
    return NftTable("netdev" if hook == "ingress" else "inet", "firewall", (chain,))


def test_every_backend_and_table_may_drop_what_the_others_accept() -> None:
    accepting = FORWARD.format(policy="ACCEPT", rules="")
    for node in (
        firewall(
            accepting,
            legacy=accepting.replace("-A SUBMARINER-FORWARD -o vx-submariner -j ACCEPT", "-A FORWARD -j DROP"),
        ),
        firewall(accepting, native=(native("forward", "ip daddr 10.9.0.0/16 drop"),)),
        firewall(accepting, native=(native("forward", policy="drop"),)),
    ):
        (step,) = node.drops(Hook.FORWARD, POD)
        assert step.sure


def test_a_chain_on_a_device_hears_what_enters_there() -> None:
    node = firewall(native=(native("ingress", "udp dport 29240 drop", device="eth0"),))
    assert verdicts(node, replace(UDP, in_device="eth0"), Hook.INGRESS) == [("udp dport 29240 drop", True)]
    assert verdicts(node, UDP, Hook.INGRESS) == []


NAT = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC - [0:0]
:SUBMARINER-POSTROUTING - [0:0]
-A PREROUTING -d 100.8.0.7/32 -p tcp -m tcp --dport 80 -j KUBE-SVC
-A KUBE-SVC ! -s 10.8.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.8.1.5:8080
-A KUBE-SVC -j DNAT --to-destination 10.8.2.5:8080
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A POSTROUTING -j SUBMARINER-POSTROUTING
-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
-A POSTROUTING -s 10.8.0.0/16 ! -d 10.8.0.0/16 -j MASQUERADE
-A SUBMARINER-POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.2.1
-A SUBMARINER-POSTROUTING -s 10.8.0.0/16 -d 10.9.0.0/16 -j ACCEPT
COMMIT
"""


def test_a_service_is_translated_and_the_packet_marked() -> None:
    asked = Packet("10.9.1.5", "100.8.0.7", "tcp", destination_port=80, in_device="vxlan-tunnel")
    passed = firewall(NAT).passed(Hook.PREROUTING, asked)
    assert passed.by is not None
    assert (passed.by.verdict, passed.by.sure, passed.packet.mark) == ("DNAT", False, 0x4000)
    assert firewall(NAT).passed(Hook.PREROUTING, replace(asked, destination_port=81)).by is None


def test_an_accept_keeps_later_rules_from_translating() -> None:
    node = firewall(NAT)
    passed = node.passed(Hook.POSTROUTING, POD)
    assert passed.by is None
    assert passed.met("SUBMARINER-POSTROUTING")
    elsewhere = node.passed(Hook.POSTROUTING, replace(POD, destination="192.0.2.1"))
    assert elsewhere.by is not None
    assert elsewhere.by.verdict == "MASQUERADE"
    host = node.passed(Hook.POSTROUTING, replace(POD, source="240.18.1.2"))
    assert host.by is not None
    assert (host.by.to, host.by.chain) == ("10.8.2.1", "SUBMARINER-POSTROUTING")


def test_an_accept_does_not_bind_the_other_backend_or_a_native_table() -> None:
    masquerade = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.8.0.0/16 -j MASQUERADE\nCOMMIT\n"
    for node in (
        firewall(NAT, legacy=masquerade),
        firewall(NAT, native=(native("postrouting", "ip saddr 10.8.0.0/16 masquerade", kind="nat", priority=110),)),
    ):
        passed = node.passed(Hook.POSTROUTING, POD)
        assert passed.by is not None
        assert passed.by.verdict == "MASQUERADE"


def test_established_flows_are_not_translated_again() -> None:
    assert (
        firewall(NAT).passed(Hook.POSTROUTING, replace(POD, destination="192.0.2.1", state=State.ESTABLISHED)).by
        is None
    )


def test_what_is_not_tracked_is_not_translated() -> None:
    untracked = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 100.8.0.0/16 -j CT --notrack\nCOMMIT\n"
    asked = Packet("10.9.1.5", "100.8.0.7", "tcp", destination_port=80, in_device="vxlan-tunnel")
    assert firewall(untracked + NAT).passed(Hook.PREROUTING, asked).by is None


def test_answers_are_remembered_only_for_packets_that_rules_cannot_tell_apart() -> None:
    node = forward("-A FORWARD -s 10.9.1.5/32 -j DROP", "-A FORWARD -m iprange --src-range 10.9.1.7-10.9.1.8 -j DROP")
    told = {last: bool(verdicts(node, replace(REPLY, source=f"10.9.1.{last}"))) for last in range(4, 10)}
    assert told == {4: False, 5: True, 6: False, 7: True, 8: True, 9: False}


def test_ten_thousand_pairs_cost_few_walks() -> None:
    node = forward("-A FORWARD -s 10.9.0.0/16 -d 10.8.2.0/24 -j DROP")
    for pod in range(10_000):
        packet = replace(
            REPLY, source=f"10.9.{pod // 250}.{pod % 250 + 1}", destination=f"10.8.{pod % 4}.{pod % 250 + 2}"
        )
        assert bool(node.drops(Hook.FORWARD, packet)) is (pod % 4 == 2)
    assert len(node._walks) == 2
