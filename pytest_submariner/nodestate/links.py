"""Devices, their addresses and forwarding entries, from `ip -d -s -j link`, `ip -j addr` and `bridge -j fdb`."""

from __future__ import annotations

from pytest_submariner.model.nodestate import Address, FdbEntry, Link, LinkStats
from pytest_submariner.nodestate.section import Section, json_list

LINKS = "ip -d -s -j link show"
ADDRESSES = "ip -j -4 addr show"
FDB = "bridge -j fdb show"


def links(section: Section) -> tuple[Link, ...]:
    """All devices; `kind` is empty for those that have none (lo, hardware)."""
    found = []
    for entry in json_list(section, "ip"):
        info = entry.get("linkinfo") or {}
        data = info.get("info_data") or {}
        is_vxlan = info.get("info_kind") == "vxlan"
        found.append(
            Link(
                name=entry["ifname"],
                kind=info.get("info_kind", ""),
                mtu=int(entry["mtu"]),
                up="UP" in entry.get("flags", ()),
                vni=data.get("id") if is_vxlan else None,
                port=data.get("port") if is_vxlan else None,
                remote=data.get("remote") if is_vxlan else None,
                learning=bool(data.get("learning", True)) if is_vxlan else None,
                mac=entry.get("address", ""),
                index=int(entry.get("ifindex", 0)),
                master=entry.get("master"),
                local=data.get("local") if is_vxlan else None,
                gso_max_segments=entry.get("gso_max_segs"),
                stats=_stats(entry.get("stats64") or entry.get("stats")),
            )
        )
    return tuple(found)


def _stats(counted: dict[str, dict[str, int]] | None) -> LinkStats | None:
    if counted is None:
        return None
    return LinkStats(
        **{
            f"{way}_{what}": int(counted[way][what])
            for way in ("rx", "tx")
            for what in ("packets", "dropped", "errors")
        }
    )


def addresses(section: Section) -> tuple[Address, ...]:
    """IPv4 addresses."""
    return tuple(
        Address(entry["ifname"], info["local"], int(info["prefixlen"]))
        for entry in json_list(section, "ip")
        for info in entry.get("addr_info") or ()
        if info.get("family") == "inet"
    )


def fdb(section: Section, device: str | None = None) -> tuple[FdbEntry, ...]:
    """Entries with a VTEP; those of bridges have none. `device` for output of `bridge fdb show dev X`, which does not
    name it."""
    return tuple(
        FdbEntry(entry.get("ifname") or device or "", entry["mac"], entry["dst"], entry.get("state", ""))
        for entry in json_list(section, "bridge")
        if "dst" in entry and ":" not in entry["dst"]
    )
