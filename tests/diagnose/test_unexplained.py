"""What no cause explains: the lost hop, and the object that counted the loss."""

from __future__ import annotations

from dataclasses import replace

from observations import changed, counted, failing, healthy, lost

from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.unexplained import unexplained
from pytest_submariner.model.filters import NftChain, NftRule, NftTable, PacketFilter, PacketFilterRule
from pytest_submariner.model.finding import Finding
from pytest_submariner.model.nodestate import Neighbour, Rule

PATH = "pod.ngw.c1--pod.ngw.c2--tcp"


def only(seen: Observation) -> Finding:
    (finding,) = unexplained(seen, seen.failing)
    assert finding.code == "UNEXPLAINED"
    assert set(finding.paths) == {flow.id for flow in seen.failing}
    return finding


def text(finding: Finding) -> str:
    return "\n".join(evidence.text for evidence in finding.evidence)


def broken() -> Observation:
    return lost(failing(healthy(), PATH), PATH, "c1-gw", 5)


def test_the_lost_hop_is_named_where_nothing_else_is_known() -> None:
    finding = only(broken())
    assert (finding.cluster, finding.node) == ("c1", "c1-gw")
    assert finding.object.startswith("hop request 5 (c1-gw")
    assert "not seen at request 5" in text(finding)
    assert "nothing on the nodes there differs" in text(finding)


def test_without_a_trace_the_lost_hop_is_not_known_and_said_so() -> None:
    assert "no path could be traced, so the lost hop is not known" in text(only(failing(healthy(), PATH)))


def test_a_foreign_rule_whose_counter_rose_is_named() -> None:
    rule = PacketFilterRule("raw", "PREROUTING", "-s 240.0.0.0/8 -j DROP", packets=3)
    foreign = PacketFilter((rule,), {("raw", "PREROUTING"): "ACCEPT"}, "legacy")
    seen = changed(broken(), "c1-gw", packet_filters=lambda filters: [*filters, foreign])
    seen = changed(
        seen,
        "c1-gw",
        after=True,
        packet_filters=lambda fs: [*fs[:-1], replace(foreign, rules=(replace(rule, packets=9),))],
    )
    finding = only(seen)
    assert (finding.node, finding.object) == ("c1-gw", "raw/PREROUTING")
    assert "`-t raw -A PREROUTING -s 240.0.0.0/8 -j DROP (legacy)` counted 6 more packets while probes ran" in text(
        finding
    )
    assert "raw/PREROUTING on c1-gw: it takes these packets away" in finding.remedy


def test_a_foreign_nftables_rule_is_named_also_without_a_counter_but_with_less_certainty() -> None:
    def tables(packets: int | None) -> tuple[NftTable, ...]:
        rule = NftRule("udp dport 4800 drop", "drop", packets, packets)
        return (NftTable("netdev", "x", (NftChain("i", (rule,), "filter", "ingress", 0, "accept", "eth0"),)),)

    seen = changed(broken(), "c1-gw", native_tables=tables(4))
    seen = changed(seen, "c1-gw", after=True, native_tables=tables(8))
    assert only(seen).object == "nft netdev x i"
    uncounted = changed(broken(), "c1-gw", native_tables=tables(None))
    finding = only(uncounted)
    assert finding.object.startswith("hop request 5")
    assert "`udp dport 4800 drop`, which has no counter" in text(finding)


def test_a_kernel_counter_that_rose_is_named() -> None:
    finding = only(counted(broken(), "c1-gw", TcpExtIPReversePathFilter=4))
    assert finding.object == "kernel counter TcpExtIPReversePathFilter"
    assert "c1-gw: TcpExtIPReversePathFilter rose by 4 while probes ran" in text(finding)


def test_two_problems_without_a_common_node_are_two_findings() -> None:
    seen = failing(broken(), "pod.gw.c2--pod.ngw2.c2--tcp", "c2")
    assert len(unexplained(seen, seen.failing)) == 2


def test_a_neighbour_that_is_not_who_it_says_is_named_wherever_it_is_on_the_way() -> None:
    def poisoned(neighbours: tuple[Neighbour, ...]) -> list[Neighbour]:
        return [*neighbours, Neighbour("vxlan-tunnel", "241.18.2.1", "02:de:ad:00:00:01", "PERMANENT")]

    seen = changed(broken(), "c1-gw", neighbours=poisoned)
    finding = only(seen)
    assert (finding.node, finding.object) == ("c1-gw", "neighbour 241.18.2.1")
    assert "241.18.2.1 on vxlan-tunnel is 02:de:ad:00:00:01; c2-gw has it at " in text(finding)


def test_a_policy_rule_that_refuses_is_named() -> None:
    refusing = Rule(50, "", "10.8.2.0/24", "10.9.0.0/16", action="prohibit")
    finding = only(changed(broken(), "c1-gw", rules=lambda rules: [*rules, refusing]))
    assert finding.object == "ip rule 50"
    assert "c1-gw: ip rule 50 from 10.8.2.0/24 to 10.9.0.0/16 prohibit" in text(finding)
