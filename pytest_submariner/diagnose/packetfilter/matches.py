"""What rules of both tools ask of a packet: addresses, devices, protocol, ports, state. Each makes a `Match`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from pytest_submariner.diagnose.packetfilter.addresses import Known, within
from pytest_submariner.diagnose.packetfilter.packet import EPHEMERAL, EPHEMERAL_PORTS, Answer, Packet, State, some
from pytest_submariner.diagnose.packetfilter.rule import Match

PROTOCOLS = {
    "1": "icmp",
    "4": "ipencap",
    "6": "tcp",
    "17": "udp",
    "47": "gre",
    "50": "esp",
    "51": "ah",
    "58": "ipv6-icmp",
    "132": "sctp",
}
_ECHO = {"8": False, "echo-request": False, "0": True, "echo-reply": True}
"""ICMP type -> whether it is the reply."""
_FLAGS = frozenset({"fin", "syn", "rst", "psh", "ack", "urg"})


def source_in(*texts: str) -> Match:
    return lambda packet, known: some(within(packet.source, text) for text in texts)


def destination_in(*texts: str) -> Match:
    return lambda packet, known: some(within(packet.destination, text) for text in texts)


def protocol_is(*names: str) -> Match:
    wanted = {PROTOCOLS.get(name.lower(), name.lower()) for name in names}
    anything = bool(wanted & {"all", "0", "ip"})
    return lambda packet, known: Answer.of(anything or packet.protocol in wanted)


def device_in(*names: str) -> Match:
    return lambda packet, known: _device(packet.in_device, names)


def device_out(*names: str) -> Match:
    return lambda packet, known: _device(packet.out_device, names)


def _device(name: str, patterns: Iterable[str]) -> Answer:
    """Patterns end with `+` (iptables) or `*` (nftables) for any device that begins so."""
    if not name:
        return Answer.MAY
    return Answer.of(any(fnmatchcase(name, f"{p[:-1]}*" if p.endswith("+") else p) for p in patterns))


def destination_port(*texts: str) -> Match:
    return lambda packet, known: _port(packet, packet.destination_port, texts)


def source_port(*texts: str) -> Match:
    return lambda packet, known: _port(packet, packet.source_port, texts)


def any_port(*texts: str) -> Match:
    return lambda packet, known: some(
        _port(packet, port, texts) for port in (packet.source_port, packet.destination_port)
    )


def _port(packet: Packet, port: int | None, texts: Iterable[str]) -> Answer:
    """`29000`, or a range `29000:29999` (iptables), `29000-29999` (nftables)."""
    if packet.protocol not in ("tcp", "udp", "sctp"):
        return Answer.NO
    if port is None:
        return Answer.MAY
    answers = []
    for text in texts:
        first, dash, last = text.replace("-", ":").partition(":")
        if not (first.isdigit() or not first) or not (last.isdigit() or not last):
            answers.append(Answer.MAY)
        else:
            low = int(first or 0)
            high = (int(last) if last else 65535) if dash else low
            answers.append(_covers(low, high, port))
    return some(answers)


def _covers(low: int, high: int, port: int) -> Answer:
    first, last = EPHEMERAL_PORTS if port == EPHEMERAL else (port, port)
    if low <= first and last <= high:
        return Answer.YES
    return Answer.NO if last < low or high < first else Answer.MAY


def state_in(*names: str) -> Match:
    wanted = {name.upper() for name in names}

    def match(packet: Packet, known: Known) -> Answer:
        if packet.state.value in wanted:
            return Answer.YES
        return Answer.MAY if wanted & {"SNAT", "DNAT"} else Answer.NO

    return match


def mark_is(value: int, mask: int = 0xFFFFFFFF) -> Match:
    return lambda packet, known: Answer.MAY if packet.mark is None else Answer.of(packet.mark & mask == value)


def source_member(name: str) -> Match:
    return lambda packet, known: known.is_member(name, packet.source)


def destination_member(name: str) -> Match:
    return lambda packet, known: known.is_member(name, packet.destination)


def source_local() -> Match:
    return lambda packet, known: known.is_local(packet.source)


def destination_local() -> Match:
    return lambda packet, known: known.is_local(packet.destination)


def icmp_type(*names: str) -> Match:
    """Of the packets of a flow only echo requests and replies are ICMP."""

    def match(packet: Packet, known: Known) -> Answer:
        if packet.protocol != "icmp":
            return Answer.NO
        return Answer.of(any(name in ("any", "255") or _ECHO.get(name) is packet.is_reply for name in names))

    return match


def tcp_flags(mask: Collection[str], wanted: Collection[str]) -> Match:
    """Of a NEW packet the flags are known: SYN alone. Of a later one they are not."""
    asked = _FLAGS if "all" in {flag.lower() for flag in mask} else {flag.lower() for flag in mask}
    named = _FLAGS if "all" in {flag.lower() for flag in wanted} else {flag.lower() for flag in wanted} - {"none"}

    def match(packet: Packet, known: Known) -> Answer:
        if packet.protocol != "tcp":
            return Answer.NO
        return Answer.of({"syn"} & asked == named) if packet.state is State.NEW else Answer.MAY

    return match
