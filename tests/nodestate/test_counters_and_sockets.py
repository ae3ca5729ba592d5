"""Counters, clock, sockets, queueing disciplines, connection tracking: shapes of several tools and versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_submariner.model.nodestate import LinkStats, Qdisc, Socket, Unanswered
from pytest_submariner.nodestate import conntrack, counters, links, qdiscs, sockets
from pytest_submariner.nodestate.section import Section, Unreadable

RECORDED = Path(__file__).parent / "recorded"
MISSING = Section("", "not found")


def test_counters_have_the_names_of_nstat() -> None:
    text = (
        "Ip: Forwarding DefaultTTL InReceives InAddrErrors\nIp: 1 64 70 3\n"
        "Tcp: RtoAlgorithm MaxConn\nTcp: 1 -1\nUdp: NoPorts InCsumErrors\nUdp: 5 0\n"
        "TcpExt: IPReversePathFilter TCPTimeouts\nTcpExt: 7 2\nIpExt: InNoRoutes\nIpExt: 4\n"
    )
    found = counters.counters(Section(text))
    assert found == {
        "IpForwarding": 1,
        "IpDefaultTTL": 64,
        "IpInReceives": 70,
        "IpInAddrErrors": 3,
        "TcpRtoAlgorithm": 1,
        "TcpMaxConn": -1,
        "UdpNoPorts": 5,
        "UdpInCsumErrors": 0,
        "TcpExtIPReversePathFilter": 7,
        "TcpExtTCPTimeouts": 2,
        "IpExtInNoRoutes": 4,
    }


@pytest.mark.parametrize(
    ("said", "seconds"), [("1729500000.250000000\n", 1729500000.25), ("1729500000.%N\n", 1729500000.0), ("17\n", 17.0)]
)
def test_the_clock_of_coreutils_and_busybox(said: str, seconds: float) -> None:
    assert counters.clock_s(Section(said)) == seconds


def test_a_clock_that_is_none() -> None:
    with pytest.raises(Unreadable, match="date prints 'soon'"):
        counters.clock_s(Section("soon"))


def test_sockets_of_ss() -> None:
    text = (
        "udp UNCONN 0 0 0.0.0.0:4500 0.0.0.0:*\n"
        'udp UNCONN 0 0 127.0.0.1%lo:323 0.0.0.0:* users:(("chronyd",pid=7,fd=5))\n'
        'tcp LISTEN 0 4096 *:32780 *:* users:(("submariner-gate",pid=9,fd=3),("x",pid=10,fd=3))\n'
        'tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=1,fd=4))\n'
    )
    assert sockets.sockets(Section(text), MISSING) == (
        Socket("tcp", "::", 22, "sshd"),
        Socket("tcp", "*", 32780, "submariner-gate"),
        Socket("udp", "127.0.0.1", 323, "chronyd"),
        Socket("udp", "0.0.0.0", 4500, kernel=True),
    )


def test_sockets_of_files() -> None:
    """What the kernel shows of a VXLAN device, a listener, and a connection, which is neither."""
    text = (
        "udp\n  sl  local_address rem_address   st tx_queue\n"
        " 1638: 00000000:12C0 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 3415801 2\n"
        " 1639: 0100007F:0035 0200007F:0035 01 00000000:00000000 00:00000000 00000000 0 0 3415802 2\n"
        "tcp\n  sl  local_address rem_address   st\n"
        "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1\n"
        "   1: 0100007F:0016 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 2 1\n"
        "tcp6\n  sl  local_address rem_address   st\n"
        "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 3 1\n"
    )
    assert sockets.sockets(MISSING, Section(text)) == (
        Socket("tcp", "127.0.0.1", 22),
        Socket("tcp", "::1", 8080),
        Socket("udp", "0.0.0.0", 4800),
    )
    with pytest.raises(Unreadable, match="not found; no /proc"):
        sockets.sockets(MISSING, Section("", "no /proc"))


def test_a_shaper_recorded_from_tc() -> None:
    found = qdiscs.qdiscs(Section((RECORDED / "tc-qdisc.json").read_text()))
    assert found == (
        Qdisc("lo", "noqueue"),
        Qdisc("eth0", "tbf", '{"burst": 4096, "lat": 50000, "rate": 32000}'),
        Qdisc("vx-submariner", "noqueue"),
    )
    (dropping,) = qdiscs.qdiscs(Section('[{"kind":"tbf","dev":"eth0","options":{},"drops":12,"overlimits":30}]'))
    assert (dropping.dropped, dropping.overlimits) == (12, 30)


def test_connection_tracking_summed_over_processors() -> None:
    text = (
        "27\n262144\nentries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop\n"
        "0000001b  0 0 0 00000002 0 0 0 0 0000000a 00000010 00000001\n"
        "0000001b  0 0 0 00000003 0 0 0 0 00000001 00000010 00000000\n"
    )
    found = conntrack.stats(Section(text))
    assert (found["count"], found["max"]) == (27, 262144)
    assert (found["invalid"], found["insert_failed"], found["drop"], found["early_drop"]) == (5, 11, 32, 1)
    assert "entries" not in found
    assert conntrack.stats(Section("27\n262144\n")) == {"count": 27, "max": 262144}


def test_what_a_device_counted_and_is_part_of() -> None:
    text = (
        '[{"ifindex":10,"ifname":"veth1","master":"cni0","flags":["UP"],"mtu":1500,"address":"02:00:00:00:00:01","gso_max_segs":1,'
        '"linkinfo":{"info_kind":"veth"},"stats64":{"rx":{"bytes":1,"packets":8,"errors":1,"dropped":2},'
        '"tx":{"bytes":2,"packets":6,"errors":3,"dropped":4}}}]'
    )
    (link,) = links.links(Section(text))
    assert (link.index, link.master, link.mac, link.gso_max_segments) == (10, "cni0", "02:00:00:00:00:01", 1)
    assert link.stats == LinkStats(8, 6, 2, 4, 1, 3)


def test_connections_that_nobody_answered() -> None:
    text = (
        "ipv4     2 udp      17 28 src=240.18.1.2 dst=10.9.1.1 sport=40404 dport=40404 [UNREPLIED] src=10.9.1.1 dst=240.18.1.2 "
        "sport=40404 dport=40404 mark=0 zone=0 use=2\n"
        "ipv4     2 icmp     1 12 src=240.18.1.2 dst=10.9.1.1 type=8 code=0 id=7 [UNREPLIED] src=10.9.1.1 dst=10.8.2.1 type=0 code=0 id=7\n"
        "ipv6     10 udp     17 28 src=fe80::1 dst=fe80::2 sport=1 dport=2 [UNREPLIED] src=fe80::2 dst=fe80::1 sport=2 dport=1\n"
    )
    udp, icmp = conntrack.unanswered(Section(text))
    assert udp == Unanswered("udp", "240.18.1.2", "10.9.1.1", 40404, 40404, "240.18.1.2")
    assert (udp.left_s, icmp.left_s) == (28, 12)
    assert (icmp.source_port, icmp.answers_to) == (None, "10.8.2.1")
    with pytest.raises(Unreadable, match="not found"):
        conntrack.unanswered(MISSING)
