"""Text for iptables-restore and ipset restore."""

from __future__ import annotations

from submariner_bench import states

from pytest_submariner.lab.submariner.restore import count_jumps, ipset_text, iptables_text

STATE = states({"c1": "c1-gw1", "c2": "c2-gw1"})["c1-w1"]
NAT_JUMP = ("nat", "POSTROUTING", "-j SUBMARINER-POSTROUTING")


def nat(text: str) -> list[str]:
    lines = text.splitlines()
    start = lines.index("*nat")
    return lines[start : lines.index("COMMIT", start) + 1]


def test_a_first_time_empties_own_chains_only_and_puts_jumps_in_place() -> None:
    text = iptables_text(STATE, jumps={})
    assert nat(text) == [
        "*nat",
        ":SUBMARINER-POSTROUTING - [0:0]",
        "-I POSTROUTING 1 -j SUBMARINER-POSTROUTING",
        "-A SUBMARINER-POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.3.1",
        "-A SUBMARINER-POSTROUTING -s 10.8.0.0/16 -d 100.9.0.0/16 -j ACCEPT",
        "-A SUBMARINER-POSTROUTING -s 100.9.0.0/16 -d 10.8.0.0/16 -j ACCEPT",
        "-A SUBMARINER-POSTROUTING -s 10.8.0.0/16 -d 10.9.0.0/16 -j ACCEPT",
        "-A SUBMARINER-POSTROUTING -s 10.9.0.0/16 -d 10.8.0.0/16 -j ACCEPT",
        "COMMIT",
    ]
    assert "-A INPUT -p udp -m udp -j SUBMARINER-INPUT" in text.splitlines()
    assert "-I FORWARD 1 -j SUBMARINER-FORWARD" in text.splitlines()


def test_a_change_leaves_jumps_alone() -> None:
    text = iptables_text(STATE, jumps=None)
    assert "-j SUBMARINER" not in text
    assert nat(text)[2].startswith("-A SUBMARINER-POSTROUTING -s 240.0.0.0/8")


def test_jumps_that_are_there_are_removed_as_often_as_they_are() -> None:
    removal = "-D POSTROUTING -j SUBMARINER-POSTROUTING"
    assert nat(iptables_text(STATE, jumps={NAT_JUMP: 2}))[2:5] == [
        removal,
        removal,
        "-I POSTROUTING 1 -j SUBMARINER-POSTROUTING",
    ]


def test_jumps_are_counted_per_table() -> None:
    saved = "\n".join(
        (
            "*mangle",
            "-A POSTROUTING -j SUBMARINER-POSTROUTING",
            "*nat",
            ":POSTROUTING ACCEPT [0:0]",
            "-A POSTROUTING -j SUBMARINER-POSTROUTING",
            "-A POSTROUTING -s 10.8.0.0/16 -j MASQUERADE",
            "-A POSTROUTING -j SUBMARINER-POSTROUTING",
            "COMMIT",
        )
    )
    assert count_jumps(saved) == {("mangle", *NAT_JUMP[1:]): 1, NAT_JUMP: 2}


def test_sets_are_emptied_before_they_are_filled() -> None:
    lines = ipset_text(STATE).splitlines()
    assert lines[:4] == [
        "create SUBMARINER-LOCALCIDRS hash:net family inet hashsize 1024 maxelem 65536",
        "flush SUBMARINER-LOCALCIDRS",
        "add SUBMARINER-LOCALCIDRS 10.8.0.0/16",
        "add SUBMARINER-LOCALCIDRS 100.8.0.0/16",
    ]
    assert len(lines) == 8
