"""The story of submariner issue 3134, told from evidence: is this ping's fate the documented mechanism, or something else? Pure.

A non-gateway node pings the vx-submariner address of its gateway node. Its kernel picks the 240.x address of its own vx-submariner as
the source. nat rewrites that to the node's CNI address, because the rule for HostNetwork traffic to other clusters matches every packet
that leaves vx-submariner with such a source. So the reply is addressed to the CNI address, and the gateway routes it as the CNI
routes: over the underlay, with a bare 240.x source, which many fabrics drop. Nothing is wrong with the VXLAN.
"""

from __future__ import annotations

import ipaddress

from pytest_submariner.model.verdict import Verdict
from pytest_submariner.probes.judge import Judgement
from pytest_submariner.probes.vx_evidence import Frame, VxEvidence

CLASS_E = ipaddress.ip_network("240.0.0.0/8")
REMEDY = (
    "leave the rule alone: without it this ping stays inside the VXLAN and is answered, but host-network pods on non-gateway nodes, and "
    "the Route Agent's health check, no longer reach other clusters, which cannot answer to 240.x"
)
MEANING = (
    "whether this ping is answered says nothing about the paths Submariner supports: pods and host-network pods to other clusters, "
    "which are tested beside it"
)


def judge(evidence: VxEvidence) -> Judgement:
    """by-design needs all of it: the rule, its counter, and the rewrite in a packet that reached the gateway through the VXLAN."""
    worker, gateway = evidence.worker, evidence.gateway
    if evidence.unread:
        return Judgement(Verdict.INCONCLUSIVE, f"the packet filter of {worker} could not be read: {evidence.unread}")
    if evidence.rule is None:
        return Judgement(
            Verdict.BLOCKED,
            f"{worker} lacks the rule `-s 240.0.0.0/8 -o vx-submariner -j SNAT`: host-network pods there cannot reach other clusters "
            f"(this ping was {_answered(evidence)}, which proves nothing)",
        )
    if not evidence.requests_out:
        why = next((echo.error for echo in evidence.echoes if echo.error), "")
        return Judgement(
            Verdict.BLOCKED,
            f"no echo request left {worker} for {evidence.address}"
            + (f": {why}" if why else ": is the gateway's VXLAN neighbour resolved?"),
        )
    kept = [frame for frame in evidence.requests_out if frame.source == frame.told or not _is_class_e(frame.told)]
    if kept:
        return Judgement(
            Verdict.BLOCKED,
            f"the documented rewrite is not at work on {worker}: the kernel chose source {kept[0].told}, "
            f"{kept[0].device} carried {kept[0].source}",
        )
    other = [frame for frame in evidence.requests_out if frame.source != evidence.rule.to_source]
    if other:
        return Judgement(
            Verdict.INCONCLUSIVE,
            f"{worker} rewrote to {other[0].source}, but its rule says {evidence.rule.to_source}: something else rewrites",
        )
    if evidence.counted is None:
        return Judgement(
            Verdict.INCONCLUSIVE, f"the counter of the SNAT rule on {worker} could not be read before and after"
        )
    if evidence.counted < len(evidence.requests_out):
        return Judgement(
            Verdict.INCONCLUSIVE,
            f"{len(evidence.requests_out)} rewritten requests left {worker}, but the counter of its SNAT rule rose by {evidence.counted}",
        )
    if not evidence.requests_in:
        return Judgement(
            Verdict.BLOCKED,
            f"{worker} sent the rewritten request into vx-submariner, but {gateway} received none: the VXLAN (UDP 4800) loses it",
        )
    return Judgement(
        Verdict.BY_DESIGN,
        f"{_answered(evidence)}, by design: {worker} rewrote source {evidence.requests_out[0].told} to "
        f"{evidence.rule.to_source}, so the reply {_reply_way(evidence)}",
    )


def tell(evidence: VxEvidence) -> tuple[str, ...]:
    """The evidence in the order of the packet's way, for someone who never saw it."""
    worker, gateway = evidence.worker, evidence.gateway
    sources = ", ".join(dict.fromkeys(echo.local for echo in evidence.echoes if echo.local)) or "none"
    lines = [
        f"{worker} sent {len(evidence.echoes)} echo requests to {evidence.address}, the vx-submariner address of its gateway node "
        f"{gateway}; the kernel chose source {sources}, the address of its own vx-submariner"
    ]
    if evidence.rule is None:
        lines.append(f"{worker} has no rule in nat SUBMARINER-POSTROUTING that rewrites 240.0.0.0/8")
    else:
        lines.append(
            f"rule of {worker}, nat SUBMARINER-POSTROUTING ({evidence.rule.backend}): {evidence.rule.text}; its counter rose from "
            f"{evidence.packets_before} to {evidence.rule.packets} packets"
        )
    lines += [f"capture on {worker}: {_words(frame)}" for frame in evidence.requests_out[:1]]
    lines += [f"capture on {gateway}: {_words(frame)}" for frame in evidence.requests_in[:1]]
    if evidence.replies_out:
        lines.append(f"capture on {gateway}: {_words(evidence.replies_out[0])}: {_outside(evidence)}")
    elif evidence.requests_in:
        lines.append(f"capture on {gateway}: no reply left it, so the reply cannot have been lost on the underlay")
    if evidence.replies_in:
        lines.append(f"capture on {worker}: {_words(evidence.replies_in[0])}")
    elif evidence.replies_out:
        lines.append(f"capture on {worker}: the reply never came in: the network between the nodes dropped it")
    if evidence.answered:
        echo = next(echo for echo in evidence.echoes if echo.answered)
        lines.append(f"{worker} undid the rewrite and delivered the reply to {echo.delivered}: the ping was answered")
    elif evidence.replies_in:
        lines.append(
            f"{worker} received the reply and dropped it, as strict reverse path filtering does: the ping was not answered"
        )
    else:
        lines.append("the ping was not answered")
    return (*lines, MEANING, REMEDY)


def _words(frame: Frame) -> str:
    told = f", in a packet which says it was sent from {frame.told}" if frame.kind == "request" else ""
    return f"{frame.device} {frame.direction}: {frame.kind} {frame.source} → {frame.destination}{told}"


def _outside(evidence: VxEvidence) -> str:
    device = evidence.replies_out[0].device
    if device == "vx-submariner":
        return "back through the VXLAN"
    return f"by the CNI's route to the pod network of {evidence.worker}, outside the VXLAN, with a bare 240.x source"


def _reply_way(evidence: VxEvidence) -> str:
    if not evidence.replies_out:
        return f"would leave {evidence.gateway} by the CNI's route; none was seen leaving"
    device = evidence.replies_out[0].device
    where = "through the VXLAN" if device == "vx-submariner" else f"by {device}, outside the VXLAN"
    return f"left {evidence.gateway} {where}" + ("" if evidence.replies_in else " and was lost on the way")


def _answered(evidence: VxEvidence) -> str:
    return "answered" if evidence.answered else "not answered"


def _is_class_e(address: str) -> bool:
    return ipaddress.ip_address(address) in CLASS_E
