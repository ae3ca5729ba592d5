"""Causes: what connection tracking remembers."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.addresses import ipv4_cidrs
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.packet import Hook, Packet
from pytest_submariner.diagnose.reasoning.routelookup import in_any, lookup
from pytest_submariner.diagnose.reasoning.ways import translated
from pytest_submariner.model.nodestate import Unanswered

_LIVE_S = 24
"""An entry for UDP without an answer is forgotten after 30 seconds (Linux: nf_conntrack_udp_timeout): with more than this left, a
packet came within the last seconds. What is not sent any more is nobody's problem."""


@cause(
    "NF_CONNTRACK_STALE",
    title="A connection keeps the translation of before a repair",
    symptom="One long-lived flow stays dead after a fault was repaired; every new one works.",
    mechanism="Packet filters are asked for the first packet of a connection only. A sender that goes on by the same ports "
    "keeps its entry, with "
    "the source of that time, as long as packets come.",
    evidence="A tracked connection to another cluster, without an answer and still in use, whose source is not what the rules "
    "would give it "
    "now.",
    remedy="Delete the entry (`conntrack -D -p udp --orig-src SOURCE --orig-dst DESTINATION`), or let the sender change its port.",
    sources=("Kubernetes issue 125467", "submariner issues 1866, 1899"),
)
def nf_conntrack_stale(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        stale = [
            (entry, now)
            for entry in _live(sight)
            if (now := _translated_now(sight, entry)) not in (None, entry.answers_to)
        ]
        if stale:
            entry, _ = stale[0]
            said = tuple(
                f"{sight.name}: {_text(e)} is answered to {e.answers_to}, and would be to {now} if it began now"
                for e, now in stale[:3]
            )
            yield Suspicion(
                sight.node,
                f"connection {_text(entry)}",
                said,
                scope.nothing(),
                latent=True,
                remedy=f"`conntrack -D -p {entry.protocol} --orig-src {entry.source} --orig-dst {entry.destination}` on {sight.name}; "
                f"long-lived senders should change their port when nobody answers.",
            )


def _live(sight: NodeSight) -> Iterator[Unanswered]:
    """To other clusters, in use. After the probes if there were any: their own entries of before are old by then."""
    state = sight.after if sight.after is not None else sight.before
    remotes = sight.view.reachable_remotes if sight.view is not None else ()
    subnets = [cidr for remote in remotes for cidr in ipv4_cidrs(remote.subnets)]
    for entry in state.unanswered or ():
        if entry.protocol == "udp" and entry.left_s > _LIVE_S and in_any(entry.destination, subnets):
            yield entry


def _translated_now(sight: NodeSight, entry: Unanswered) -> str | None:
    """The source a packet of the connection would get; None when that is not sure."""
    if not sight.firewall.is_read or sight.cluster.globalnet:
        return None
    found = lookup(sight.before, entry.destination, entry.source)
    if found is None or found.refuses:
        return None
    packet = Packet(
        entry.source,
        entry.destination,
        entry.protocol,
        entry.source_port,
        entry.destination_port,
        out_device=found.route.device,
    )
    passed = sight.firewall.passed(Hook.POSTROUTING, packet)
    if passed.by is not None and not passed.by.sure:
        return None
    return translated(sight, packet, passed).source


def _text(entry: Unanswered) -> str:
    ports = (f":{port}" if port is not None else "" for port in (entry.source_port, entry.destination_port))
    return f"{entry.protocol} {entry.source}{next(ports)} → {entry.destination}{next(ports)}"
