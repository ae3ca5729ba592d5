"""Native nftables tables, on output recorded from nft 1.0.6 and on shapes of other versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_submariner.model.nodestate import NftChain, NftRule, NftTable
from pytest_submariner.nodestate.nftables import native_tables
from pytest_submariner.nodestate.section import Section, Unreadable

RECORDED = (Path(__file__).parent / "recorded" / "nft-list-ruleset.txt").read_text()


def tables(text: str = RECORDED) -> dict[str, NftTable]:
    return {f"{table.family} {table.name}": table for table in native_tables(Section(text))}


def rules(text: str) -> tuple[NftRule, ...]:
    (table,) = tables(f"table ip t {{ # handle 1\n\tchain c {{ # handle 1\n{text}\t}}\n}}\n").values()
    return table.chains[0].rules


def test_tables_of_iptables_are_left_out_unless_somebody_else_hooked_in() -> None:
    """`ip nat` is iptables-nft's whole; `ip filter` has a base chain iptables knows nothing of, and cannot print any more."""
    assert list(tables()) == ["ip filter", "ip f", "netdev d", "inet k"]


def test_a_chain_with_its_hook_and_what_its_rules_decide() -> None:
    (chain,) = tables()["ip f"].chains
    assert (chain.name, chain.kind, chain.hook, chain.priority, chain.policy) == (
        "c",
        "filter",
        "forward",
        -10,
        "accept",
    )
    assert [rule.verdict for rule in chain.rules] == ["drop", "accept", "vmap", "", "reject"]
    assert chain.rules[0].text == 'udp dport 4800 counter packets 0 bytes 0 drop comment "say drop"'
    assert [rule.packets for rule in chain.rules] == [0, 0, None, 0, None]


def test_a_chain_of_a_device_and_one_without_hook() -> None:
    (ingress,) = tables()["netdev d"].chains
    assert (ingress.hook, ingress.device) == ("ingress", "eth0")
    assert tables()["inet k"].chains == (NftChain("user", (NftRule("masquerade fully-random", "masquerade"),)),)


def test_several_devices_as_newer_versions_print_them() -> None:
    text = (
        "table netdev t { # handle 1\n\tchain c { # handle 1\n"
        '\t\ttype filter hook ingress devices = { "eth0", "eth1" } priority -500; policy drop;\n\t}\n}\n'
    )
    (chain,) = tables(text)["netdev t"].chains
    assert (chain.device, chain.priority, chain.policy) == ("eth0 eth1", -500, "drop")


def test_a_rule_over_several_lines_is_one() -> None:
    (rule,) = rules(
        '\t\tip saddr { 10.0.0.1,\n\t\t\t   10.0.0.2 } counter packets 3 bytes 252 drop # handle 4\n\t\tcomment "about"\n'
    )
    assert rule == NftRule("ip saddr { 10.0.0.1, 10.0.0.2 } counter packets 3 bytes 252 drop", "drop")
    assert (rule.packets, rule.octets) == (3, 252)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("counter packets 0 bytes 0 jump other", "jump"),
        ("icmp type { echo-request, redirect } counter packets 0 bytes 0", ""),
        ('log prefix "drop " level info', ""),
        ("ct state vmap { established : accept, invalid : drop }", "vmap"),
        ("meta mark set 0x4000", ""),
        ("udp dport 4500 queue num 0 bypass", "queue"),
        ("ip saddr 240.0.0.0/8 snat to 10.8.1.1", "snat"),
    ],
)
def test_verdicts(text: str, verdict: str) -> None:
    (rule,) = rules(f"\t\t{text} # handle 9\n")
    assert rule.verdict == verdict


def test_no_nft_is_a_reason() -> None:
    with pytest.raises(Unreadable, match="nft: not found"):
        native_tables(Section("", "sh: 1: nft: not found"))
