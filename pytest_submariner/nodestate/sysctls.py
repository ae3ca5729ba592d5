"""Kernel settings by dotted name, read below /proc/sys without a program of their own."""

from __future__ import annotations

from pytest_submariner.nodestate.section import Section, Unreadable

_PER_DEVICE = (
    "accept_local",
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "disable_policy",
    "disable_xfrm",
    "forwarding",
    "proxy_arp",
    "route_localnet",
    "rp_filter",
    "send_redirects",
    "src_valid_mark",
)
"""Read for every device, and for `all` and `default`."""
_GLOBAL = (
    "ipv4/icmp_echo_ignore_all",
    "ipv4/ip_forward",
    "ipv4/ip_no_pmtu_disc",
    "ipv4/neigh/default/gc_thresh3",
    "ipv4/tcp_base_mss",
    "ipv4/tcp_mtu_probing",
    "bridge/bridge-nf-call-iptables",
    "netfilter/nf_conntrack_tcp_be_liberal",
)
"""Those of parts that are not loaded (bridge) are absent."""
_ROOT = "/proc/sys/"
# A device may vanish while it is read: what was printed counts, not grep's exit status.
SYSCTLS = "sh -c '" + (
    "grep -H . "
    + " ".join(f"{_ROOT}net/ipv4/conf/*/{key}" for key in _PER_DEVICE)
    + " "
    + " ".join(f"{_ROOT}net/{key}" for key in _GLOBAL)
    + " 2>/dev/null; [ -r /proc/sys/net/ipv4/ip_forward ]'"
)


def sysctls(section: Section) -> dict[str, str]:
    """`net.ipv4.conf.cni0.rp_filter` -> `2`. A dot in a device's name is written as a slash, as sysctl(8) does."""
    if section.error:
        raise Unreadable(section.error)
    found: dict[str, str] = {}
    for line in section.text.splitlines():
        path, separator, value = line.partition(":")
        if separator and path.startswith(_ROOT):
            found[_dotted(path.removeprefix(_ROOT))] = value.strip()
    return found


def _dotted(path: str) -> str:
    return ".".join(part.replace(".", "/") for part in path.split("/"))
