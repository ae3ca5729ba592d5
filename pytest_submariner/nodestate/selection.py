"""Which packets belong to traced paths: one description, as a filter for tcpdump and as arguments of the sniffer.

Tight enough for a busy node: a packet is taken when it has one of the addresses, bare, inside VXLAN, or quoted by an ICMP
error; what else is taken (errors about tunnel packets, ARP for the tunnels' addresses) is rare.
"""

from __future__ import annotations

from dataclasses import dataclass

_INNER_TYPE, _INNER_SOURCE, _INNER_DESTINATION = 28, 42, 46
"""Offsets from the outer UDP header: 8 of it, 8 of VXLAN (RFC 7348), 14 of Ethernet, then IPv4."""
_INNER_ARP_SENDER, _INNER_ARP_TARGET = 44, 54
_ARP_SENDER, _ARP_TARGET = 14, 24
_QUOTED_SOURCE, _QUOTED_DESTINATION, _QUOTED_PORT = 20, 24, 30
"""Offsets from an ICMP header to the quoted IPv4 header's addresses, and to the destination port behind it when it has no
options."""
_ERRORS = (3, 5, 11)


@dataclass(frozen=True)
class Selection:
    """`addresses`: whatever has one of them (pods, Services of probes). `hosts`: nodes' addresses, of which only echoes and `ports` are
    taken, because nodes talk a lot. `tunnels`: UDP ports of VXLAN to look into. `vteps`: first octets of the addresses
    whose ARP is taken."""

    addresses: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    tunnels: tuple[int, ...] = ()
    vteps: tuple[int, ...] = ()

    @property
    def expression(self) -> str:
        """In the language of pcap-filter(7)."""
        parts = [f"host {address}" for address in self.addresses]
        if self.hosts:
            hosts = " or ".join(f"host {host}" for host in self.hosts)
            kinds = " or ".join(
                ["icmp[icmptype] = icmp-echo", "icmp[icmptype] = icmp-echoreply", *(f"port {p}" for p in self.ports)]
            )
            parts.append(f"(({hosts}) and ({kinds}))")
        if self.tunnels:
            ports = " or ".join(f"udp dst port {port}" for port in self.tunnels)
            parts.append(f"(({ports}) and ({' or '.join(self._inner())}))")
        if self.vteps:
            parts.append(f"(arp and ({' or '.join(_first_octet('arp', _ARP_SENDER, _ARP_TARGET, self.vteps))}))")
        if quoted := self._quoted():
            errors = " or ".join(f"icmp[icmptype] = {kind}" for kind in _ERRORS)
            parts.append(f"(({errors}) and ({' or '.join(quoted)}))")
        return " or ".join(parts)

    @property
    def words(self) -> str:
        """For the sniffer, without blanks: lists by name."""
        lists = {
            "addresses": self.addresses,
            "hosts": self.hosts,
            "ports": self.ports,
            "tunnels": self.tunnels,
            "vteps": self.vteps,
        }
        return ";".join(f"{name}={','.join(map(str, values))}" for name, values in lists.items())

    def _inner(self) -> list[str]:
        wanted = (*self.addresses, *self.hosts)
        found = [f"udp[{at}:4] = {_number(ip)}" for ip in wanted for at in (_INNER_SOURCE, _INNER_DESTINATION)]
        arp = _first_octet("udp", _INNER_ARP_SENDER, _INNER_ARP_TARGET, self.vteps)
        return [*found, *([f"(udp[{_INNER_TYPE}:2] = 0x0806 and ({' or '.join(arp)}))"] if arp else [])]

    def _quoted(self) -> list[str]:
        found = [
            f"icmp[{at}:4] = {_number(ip)}" for ip in self.addresses for at in (_QUOTED_SOURCE, _QUOTED_DESTINATION)
        ]
        return found + [f"icmp[{_QUOTED_PORT}:2] = {port}" for port in (*self.tunnels, *self.ports)]


def _first_octet(protocol: str, sender: int, target: int, octets: tuple[int, ...]) -> list[str]:
    return [f"{protocol}[{at}] = {octet}" for octet in octets for at in (sender, target)]


def _number(ip: str) -> str:
    return "0x" + bytes(map(int, ip.split("."))).hex()
