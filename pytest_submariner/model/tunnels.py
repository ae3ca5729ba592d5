"""Encrypted tunnels of a node, as plain data: IPsec in the kernel (XFRM) and WireGuard. Keys are not part of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class XfrmTemplate:
    """What a policy demands of the packets it selects (`ip xfrm policy`, tmpl)."""

    source: str
    destination: str
    protocol: str
    mode: str
    reqid: int = 0


@dataclass(frozen=True)
class XfrmPolicy:
    """Packets from `source` to `destination` (CIDRs) in one direction: in, out or fwd; `action` is allow or block."""

    source: str
    destination: str
    direction: str
    priority: int = 0
    action: str = "allow"
    templates: tuple[XfrmTemplate, ...] = ()


@dataclass(frozen=True)
class XfrmState:
    """A security association between two addresses. `spi` as printed (0x…); `encapsulation` such as `espinudp 4500 4500`,
    None for plain ESP; `packets` and `octets` carried so far, None where they were not read."""

    source: str
    destination: str
    protocol: str
    spi: str
    mode: str
    reqid: int = 0
    encapsulation: str | None = None
    packets: int | None = field(default=None, compare=False)
    octets: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class WireGuardPeer:
    """A peer of a WireGuard device. `endpoint` is `IP:PORT`, None while unknown; `latest_handshake` in Unix seconds, None
    when there was none; octets received and sent."""

    public_key: str
    endpoint: str | None
    allowed_ips: tuple[str, ...]
    latest_handshake: int | None = field(default=None, compare=False)
    received: int = field(default=0, compare=False)
    sent: int = field(default=0, compare=False)


@dataclass(frozen=True)
class WireGuardDevice:
    """A WireGuard device with its peers; `port` is its UDP port."""

    name: str
    public_key: str
    port: int
    peers: tuple[WireGuardPeer, ...] = ()
