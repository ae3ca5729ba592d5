"""Aspects of a node's state that people look at one by one, and how one of them deviates from the model."""

from __future__ import annotations

from enum import StrEnum

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.deviation import Deviation, deviations
from pytest_submariner.dataplane.difference import differences
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.errors import ProbeInconclusive, RequirementUnmet
from pytest_submariner.model.nodestate import NodeState

NFTABLES_DRIVER = ("ip", "submariner")
"""Family and name of the table that Submariner's own nftables driver makes
(submariner:pkg/packetfilter/nftables)."""


class Aspect(StrEnum):
    """The value is the word in ids."""

    LINKS = "links"
    FDB = "fdb"
    ADDRESSES = "addresses"
    ROUTES = "routes"
    RULES = "rules"
    PACKET_FILTER = "packet-filter"
    IPSETS = "ipsets"
    SYSCTLS = "sysctls"

    @property
    def part(self) -> str:
        """The field of NodeState."""
        return "packet_filters" if self is Aspect.PACKET_FILTER else self.value

    @property
    def label(self) -> str:
        """For titles."""
        return _LABELS[self]


_LABELS = {
    Aspect.LINKS: "VXLAN devices",
    Aspect.FDB: "Forwarding entries (FDB)",
    Aspect.ADDRESSES: "Addresses",
    Aspect.ROUTES: "Routes",
    Aspect.RULES: "Policy rules",
    Aspect.PACKET_FILTER: "Packet filter",
    Aspect.IPSETS: "ipsets",
    Aspect.SYSCTLS: "Kernel settings",
}
PARTS = (*(aspect.part for aspect in Aspect), "hostname", "native_tables")
"""What `deviations_of` needs of a node."""


def not_modelled(aspect: Aspect, state: NodeState) -> str | None:
    """Why the model does not know this aspect of the node; None when it does."""
    tables = {(table.family, table.name) for table in state.native_tables or ()}
    if aspect is Aspect.PACKET_FILTER and NFTABLES_DRIVER in tables:
        return "Submariner's nftables driver is at work here, and the model knows its iptables driver only"
    return None


def deviations_of(aspect: Aspect, facts: NodeFacts, view: ClusterView, state: NodeState) -> tuple[Deviation, ...]:
    """How the node deviates from what Submariner should have made of it; empty when it does not.

    ProbeInconclusive when it was not read, or when what deviates may be in a packet-filter backend that was not;
    RequirementUnmet when all is there, but nobody may look whether the other backend has more (in a user namespace the kernel
    lets only a mapped root read /proc/net/ip_tables_names); TopologyError when the objects are incomplete."""
    unread = {part: why for part, why in state.unread.items() if part.partition("/")[0] == aspect.part}
    found = [d for d in differences(expected_state(facts, view), state) if d.part == aspect.part]
    if unread and not found and all("/" in part and _is_denied(why) for part, why in unread.items()):
        denied = "; ".join(f"{part} ({why})" for part, why in unread.items())
        raise RequirementUnmet(
            f"all that Submariner makes is there; needs the right to read {denied} to tell what else is"
        )
    # Of two packet-filter backends the tools of one may be absent: what the other shows is enough when it is all there.
    if unread and (found or not all("/" in part and _is_absent(why) for part, why in unread.items())):
        raise ProbeInconclusive("; ".join(f"{part} could not be read: {why}" for part, why in unread.items()))
    told = deviations(found, is_gateway=view.is_active_gateway(facts), observed=state)
    if aspect is Aspect.ADDRESSES and facts.cni_ip is None:
        told = (*told, _without_cni(view))
    return told


def _is_absent(why: str) -> bool:
    return "not found" in why


def _is_denied(why: str) -> bool:
    return "Permission denied" in why


def _without_cni(view: ClusterView) -> Deviation:
    cidrs = ", ".join(view.cluster.pod_cidrs)
    return Deviation(
        Aspect.ADDRESSES.part,
        f"an address inside {cidrs or 'the pod CIDR'} on a device of the CNI",
        "",
        f"agents find no CNI address and leave out the rule that rewrites 240.x sources and table {c.HOST_NETWORK_TABLE}: "
        "host processes of this node reach no remote cluster",
    )
