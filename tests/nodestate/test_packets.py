"""Packets from pcap files of every kind a capture may give."""

from __future__ import annotations

import struct

import pytest

from pytest_submariner.nodestate.packets import Packet
from pytest_submariner.nodestate.pcap import read_pcap

MAC_A, MAC_B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def ip(source: str, destination: str, protocol: int, body: bytes, *, fragment: int = 0) -> bytes:
    def octets(address: str) -> bytes:
        return bytes(map(int, address.split(".")))

    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, 63, protocol, 0)
    return head + octets(source) + octets(destination) + body


def echo(kind: int, number: int = 7, sequence: int = 1, payload: bytes = b"hello") -> bytes:
    return struct.pack(">BBHHH", kind, 0, 0, number, sequence) + payload


def ethernet(body: bytes, *, source: bytes = MAC_A, ether_type: int = 0x0800) -> bytes:
    return MAC_B + source + ether_type.to_bytes(2) + body


def pcap(link_type: int, *frames: bytes, order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    data = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    for frame in frames:
        data += struct.pack(f"{order}IIII", 1700000000, 500_000, len(frame), len(frame)) + frame
    return data


PING = ip("10.8.1.1", "240.18.0.2", 1, echo(8))


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(order: str) -> None:
    (packet,) = read_pcap(pcap(1, ethernet(PING), order=order), "vx-submariner", own_mac="02:00:00:00:00:01")
    assert packet == Packet(
        1700000000.5,
        "vx-submariner",
        "out",
        "icmp",
        "10.8.1.1",
        "240.18.0.2",
        63,
        icmp_type=8,
        icmp_id=7,
        icmp_sequence=1,
        payload=b"hello",
    )


def test_nanoseconds() -> None:
    (packet,) = read_pcap(pcap(1, ethernet(PING), magic=0xA1B23C4D), "eth0")
    assert packet.time_s == pytest.approx(1700000000.0005)


@pytest.mark.parametrize(
    ("mac", "direction"), [("02:00:00:00:00:01", "out"), ("02:00:00:00:00:02", "in"), (None, None)]
)
def test_direction_by_the_devices_own_address(mac: str | None, direction: str | None) -> None:
    (packet,) = read_pcap(pcap(1, ethernet(PING)), "eth0", own_mac=mac)
    assert packet.direction == direction


@pytest.mark.parametrize(("kind", "direction"), [(0, "in"), (4, "out")])
def test_cooked_frames_tell_device_and_direction(kind: int, direction: str) -> None:
    second = struct.pack(">HHIHBB8s", 0x0800, 0, 10, 1, kind, 6, MAC_A) + PING
    first = struct.pack(">HHH8sH", kind, 1, 6, MAC_A, 0x0800) + PING
    for link_type, frame, device in ((276, second, "vx-submariner"), (113, first, "any")):
        (packet,) = read_pcap(pcap(link_type, frame), "any", devices={10: "vx-submariner"})
        assert (packet.device, packet.direction) == (device, direction)


def test_devices_without_link_layer() -> None:
    (packet,) = read_pcap(pcap(101, PING), "submariner")
    assert (packet.source, packet.direction) == ("10.8.1.1", None)


def test_vlan_tags_are_skipped() -> None:
    tagged = ethernet(b"\0\5\x08\0" + PING, ether_type=0x8100)
    assert read_pcap(pcap(1, tagged), "eth0")[0].icmp_id == 7


def test_arp() -> None:
    body = bytes.fromhex("0001080006040001") + MAC_A + bytes([10, 8, 1, 1]) + bytes(6) + bytes([240, 18, 0, 2])
    (packet,) = read_pcap(pcap(1, ethernet(body, ether_type=0x0806)), "vx-submariner")
    assert (packet.protocol, packet.source, packet.destination) == ("arp", "10.8.1.1", "240.18.0.2")
    assert (packet.arp_operation, packet.mac) == (1, "02:00:00:00:00:01")
    assert str(packet) == "vx-submariner: arp who has 240.18.0.2, tell 10.8.1.1"


def test_the_answer_of_arp() -> None:
    body = bytes.fromhex("0001080006040002") + MAC_B + bytes([240, 18, 0, 2]) + MAC_A + bytes([10, 8, 1, 1])
    (packet,) = read_pcap(pcap(1, ethernet(body, ether_type=0x0806)), "vx-submariner")
    assert str(packet) == "vx-submariner: arp 240.18.0.2 is at 02:00:00:00:00:02"


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [(3, 3, "port unreachable"), (3, 10, "host prohibited"), (3, 4, "fragmentation needed"), (3, 99, "error 3/99")],
)
def test_icmp_errors_quote_what_they_are_about(kind: int, code: int, words: str) -> None:
    about = ip("10.8.1.1", "10.9.1.5", 17, struct.pack(">HHHH", 40000, 4800, 20, 0))
    error = ip("172.18.0.2", "10.8.1.1", 1, struct.pack(">BBHHH", kind, code, 0, 0, 1400) + about)
    (packet,) = read_pcap(pcap(1, ethernet(error)), "eth0")
    assert packet.is_icmp_error
    assert packet.quoted is not None
    assert (packet.quoted.protocol, packet.quoted.destination, packet.quoted.destination_port) == (
        "udp",
        "10.9.1.5",
        4800,
    )
    assert str(packet) == f"eth0: icmp 172.18.0.2 > 10.8.1.1 {words}, about udp 10.8.1.1 > 10.9.1.5 port 4800"


def test_a_frame_for_another_is_told_by_cooked_captures() -> None:
    frames = [struct.pack(">HHIHBB8s", 0x0800, 0, 10, 1, kind, 6, MAC_A) + PING for kind in (0, 3, 4)]
    packets = read_pcap(pcap(276, *frames), "any", devices={10: "vx-submariner"})
    assert [(p.direction, p.for_other) for p in packets] == [("in", False), ("in", True), ("out", False)]


def test_the_length_is_the_packets_own_however_little_was_captured() -> None:
    long = ip("10.8.1.5", "10.9.1.5", 1, echo(8, payload=b"x" * 1394))
    (packet,) = read_pcap(pcap(1, ethernet(long)[:80]), "eth0")
    assert packet.length == 1422


def vxlan(flags: int, vni: int, frame: bytes, port: int) -> bytes:
    body = bytes([flags, 0, 0, 0]) + vni.to_bytes(3) + b"\0" + frame
    return ip("172.18.0.3", "172.18.0.2", 17, struct.pack(">HHHH", 50000, port, 8 + len(body), 0) + body)


@pytest.mark.parametrize(("port", "vni"), [(4800, 100), (4500, 1000), (4555, 1000)])
def test_what_vxlan_carries(port: int, vni: int) -> None:
    (packet,) = read_pcap(pcap(1, ethernet(vxlan(8, vni, ethernet(PING), port))), "eth0")
    assert (packet.destination_port, packet.vni) == (port, vni)
    assert packet.inner is not None
    assert (packet.inner.source, packet.inner.is_echo_request) == ("10.8.1.1", True)
    assert packet.inner.mac == "02:00:00:00:00:02"


def test_esp_on_the_same_port_is_not_vxlan() -> None:
    (packet,) = read_pcap(pcap(1, ethernet(vxlan(0x37, 100, ethernet(PING), 4500))), "eth0")
    assert (packet.vni, packet.inner) == (None, None)


def test_tcp_ports_and_payload() -> None:
    segment = struct.pack(">HHIIBBHHH", 40000, 80, 1, 0, 5 << 4, 0x18, 0, 0, 0) + b"GET"
    (packet,) = read_pcap(pcap(1, ethernet(ip("10.8.1.5", "10.9.1.5", 6, segment))), "cni0")
    assert (packet.source_port, packet.destination_port, packet.payload) == (40000, 80, b"GET")
    assert (packet.tcp_sequence, packet.is_syn, packet.length) == (1, False, 43)
    assert str(packet) == "cni0: tcp 10.8.1.5:40000 > 10.9.1.5:80 [P.]"


def test_a_later_fragment_has_no_ports() -> None:
    (packet,) = read_pcap(pcap(1, ethernet(ip("10.8.1.5", "10.9.1.5", 17, b"x" * 16, fragment=100))), "eth0")
    assert (packet.protocol, packet.source_port) == ("udp", None)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_file_that_ends_in_the_middle_keeps_what_is_whole(cut: int) -> None:
    data = pcap(1, ethernet(PING), ethernet(PING))
    assert len(read_pcap(data[:-cut], "eth0")) == 1


@pytest.mark.parametrize("body", [b"", b"\x45", b"\x45" + bytes(18), b"\x60" + bytes(40), b"\x4f" + bytes(19)])
def test_damaged_and_foreign_packets_are_left_out_or_harmless(body: bytes) -> None:
    assert len(read_pcap(pcap(1, ethernet(body), b"\0" * 5), "eth0")) <= 1


@pytest.mark.parametrize("data", [b"", b"\0" * 24, b"tcpdump: eth0: You don't have permission"])
def test_what_is_no_pcap_file(data: bytes) -> None:
    with pytest.raises(ValueError, match="no pcap file"):
        read_pcap(data, "eth0")
