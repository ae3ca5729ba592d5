"""A VXLAN device with all that hangs on it, as commands that make it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any, Final

_FLAGS: Final = frozenset({"linkdown", "dead", "onlink"})


def survey(device: str) -> str:
    """Commands whose output `rebuild` understands: five parts, parted by lines of `--`."""
    name = shlex.quote(device)
    return f"""ip -j -d link show dev {name}
echo --
ip -j -4 addr show dev {name}
echo --
bridge -j fdb show dev {name}
echo --
ip route show table all dev {name}
echo --
cd /proc/sys/net/ipv4/conf/{name}; grep . * 2>/dev/null
"""


def rebuild(device: str, surveyed: str) -> str:
    """Commands of sh that remove what is left of the device and make it as it was: index, MAC, VXLAN details,
    addresses, forwarding entries, routes of every table, settings."""
    links, addresses, entries, routes, settings = surveyed.split("\n--\n")
    link = json.loads(links)[0]
    remote = link["linkinfo"]["info_data"].get("remote")
    lines = [
        f"if [ -e /proc/sys/net/ipv4/conf/{device} ]; then ip link del {device}; fi",
        _creation(link),
        *_addresses(device, json.loads(addresses)),
        *_entries(device, json.loads(entries or "[]"), remote),
        *(
            f"echo {value} > /proc/sys/net/ipv4/conf/{device}/{name} 2>/dev/null || true"
            for name, _, value in (line.partition(":") for line in settings.splitlines())
        ),
    ]
    if "UP" in link["flags"]:
        lines += [f"ip link set {device} up", *_routes(device, routes)]
    return "\n".join(lines)


def _creation(link: dict[str, Any]) -> str:
    data = link["linkinfo"]["info_data"]
    remote = f" remote {data['remote']}" if "remote" in data else ""
    local = f" local {data['local']}" if "local" in data else ""
    learning = "learning" if data.get("learning", True) else "nolearning"
    checksum = "udpcsum" if data.get("udp_csum") else "noudpcsum"
    return (
        f"ip link add {link['ifname']} index {link['ifindex']} address {link['address']} mtu {link['mtu']}"
        f" txqueuelen {link.get('txqlen', 0)} type vxlan"
        f" id {data['id']}{remote}{local} dstport {data['port']} {learning} {checksum}"
    )


def _addresses(device: str, found: list[dict[str, Any]]) -> Iterator[str]:
    for address in (a for entry in found for a in entry.get("addr_info", ())):
        broadcast = f" broadcast {address['broadcast']}" if "broadcast" in address else ""
        yield f"ip addr add {address['local']}/{address['prefixlen']}{broadcast} dev {device}"


def _entries(device: str, found: list[dict[str, Any]], remote: str | None) -> Iterator[str]:
    """Those without a peer are the device's own; the one for `remote` comes with the device."""
    for entry in found:
        if "dst" in entry and entry["dst"] != remote and entry.get("state") == "permanent":
            yield f"bridge fdb append {entry['mac']} dev {device} dst {entry['dst']} self permanent"


def _routes(device: str, found: str) -> Iterator[str]:
    for line in found.splitlines():
        words = [word for word in line.split() if word not in _FLAGS]
        if "kernel" not in words and words[0] not in {"local", "broadcast"}:
            yield f"ip route add {' '.join(words)} dev {device}"
