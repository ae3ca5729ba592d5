"""What it means for traffic that an element of Submariner's data plane is missing, different, or too much.

One sentence each, about packets. The packet walks they follow from are the model's: other nodes send to remote clusters
over vx-submariner to the gateway, the gateway over the cable; answers come back to a node by the CNI."""

from __future__ import annotations

from typing import TypeVar

from pytest_submariner.dataplane import constants as c
from pytest_submariner.model.nodestate import Address, FdbEntry, Link, PacketFilterRule, Route, Rule

T = TypeVar("T")
_NOTHING_OUT = "nothing on this node reaches a remote cluster: its way is the gateway node, over this device"
_NOTHING_IN = "no other node of the cluster reaches a remote cluster: their traffic arrives here, over this device"
_NO_CABLE = "no traffic passes between this cluster and remote clusters: this device is the cable"
_STALE = "left from an earlier role or an Endpoint that is gone"


def consequence(expected: object, found: object, *, is_gateway: bool) -> str:
    """Of finding `found` where `expected` should be; either may be None, not both. `is_gateway`: on the active gateway."""
    element = found if expected is None else expected
    if isinstance(element, Link):
        return _link(_as(Link, expected), _as(Link, found), is_gateway)
    if isinstance(element, FdbEntry):
        return _fdb(_as(FdbEntry, expected), _as(FdbEntry, found), is_gateway)
    if isinstance(element, Address):
        return _address(element, _as(Address, found) if expected is not None else None, is_gateway)
    if isinstance(element, Route):
        return _route(_as(Route, expected), _as(Route, found), is_gateway)
    if isinstance(element, Rule):
        return _rule(element, expected is None)
    if isinstance(element, PacketFilterRule):
        return _packet_filter(element, expected is None)
    if isinstance(element, tuple) and len(element) == 3:
        return _setting(str(element[0]))
    if isinstance(element, tuple) and len(element) == 2:
        return _pair(str(element[0]), str(element[1]), expected is None)
    return "not as Submariner's agents leave it"


def _link(expected: Link | None, found: Link | None, is_gateway: bool) -> str:
    if expected is None:
        return f"{_STALE}: its UDP port stays bound, and routes over it lead nowhere"
    cut = _NO_CABLE if expected.name == c.VXLAN_TUNNEL else _NOTHING_IN if is_gateway else _NOTHING_OUT
    if found is None or not found.up:
        return cut
    if (found.vni, found.port, found.remote) != (expected.vni, expected.port, expected.remote):
        return f"frames go where nobody takes them: {cut}"
    if found.mtu > expected.mtu:
        return f"packets above {expected.mtu} bytes do not fit the underlay once encapsulated: large transfers stall"
    if found.mtu < expected.mtu:
        return f"packets above {found.mtu} bytes are fragmented, or refused where they may not be"
    if found.learning != expected.learning:
        return "entries learned from passing frames take the place of those Submariner made: answers follow them astray"
    return cut


def _fdb(expected: FdbEntry | None, found: FdbEntry | None, is_gateway: bool) -> str:
    device = (expected or found or FdbEntry("", "", "")).device
    if expected is None:
        return f"frames on {device} are sent to {found.dst if found else '?'} as well, which expects none of them"
    if device == c.VXLAN_TUNNEL:
        lost = f"nothing sent through the cable reaches the remote gateway {expected.dst}"
    elif is_gateway:
        lost = (
            f"that node gets no answer when it asks for this gateway's {c.VX_SUBMARINER_OCTET}.x address, so nothing on it reaches "
            "a remote cluster"
        )
    else:
        lost = _NOTHING_OUT
    where = f"are sent to {found.dst}" if found is not None else "have no destination"
    return f"frames for {expected.dst} {where}: {lost}"


def _address(element: Address, instead: Address | None, is_gateway: bool) -> str:
    if instead is not None:
        return f"what is sent to {element.ip} does not arrive here, and what is meant for {instead.ip} may: answers go astray"
    if element.device == c.VXLAN_TUNNEL:
        return "remote gateways route to this address: without it nothing comes in through the cable"
    if is_gateway:
        return "it is the next hop of every other node's routes to remote clusters: without it they reach none"
    return (
        "without it the gateway's address on vx-submariner is not reachable, so nothing here reaches a remote cluster"
    )


def _route(expected: Route | None, found: Route | None, is_gateway: bool) -> str:
    if expected is None:
        stale = found or Route("", "")
        if stale.device in (c.VX_SUBMARINER, c.VXLAN_TUNNEL):
            return f"packets to {stale.destination} are sent over {stale.device}, though nothing there expects them: {_STALE}"
        return f"packets to {stale.destination} take a way that is not Submariner's any more: {_STALE}"
    if found is not None and found.kind != "unicast":
        return f"packets to {expected.destination} are dropped on this node ({found.kind})"
    if expected.protocol == "kernel" and found is not None:
        return f"host processes that name no source send to {expected.destination} from {found.source}, not from {expected.source}"
    if expected.protocol == "kernel":
        return f"no next hop in {expected.destination} can be reached over {expected.device}"
    if found is not None and (found.gateway, found.device) != (expected.gateway, expected.device):
        return f"packets to {expected.destination} go to {found.gateway or found.device} instead, which does not carry them on"
    if found is not None and found.source != expected.source:
        return f"host processes send to {expected.destination} with a source that is not the node's CNI address: no answer comes"
    if found is not None:
        return f"packets to {expected.destination} are sent as before, but not by the route Submariner made"
    if expected.table == c.HOST_NETWORK_TABLE:
        return (
            f"host processes of this node send to {expected.destination} with the underlay's address, which no cable "
            "carries and no remote cluster answers"
        )
    if expected.table == c.CABLE_TABLE:
        return f"nothing in this cluster reaches {expected.destination}: the cable's routes are here only"
    return f"packets to {expected.destination} leave by the default route, past Submariner, and are lost"


def _rule(element: Rule, is_unexpected: bool) -> str:
    if is_unexpected:
        which = "packets" if element.destination == "all" else f"packets to {element.destination}"
        return f"table {element.table} is asked for {which} it is not meant for: {_STALE}, or somebody else's"
    what = "the cable" if element.table == c.CABLE_TABLE else "CNI source addresses for host processes"
    return f"table {element.table} ({what}) is never asked, as if it were empty"


def _packet_filter(rule: PacketFilterRule, is_unexpected: bool) -> str:
    target = rule.text.partition("-j ")[2].partition(" ")[0]
    if target == "SNAT":
        if is_unexpected:
            return (
                "an address the node does not have becomes the source of its host processes: answers do not come back"
            )
        return (
            "host processes of this node reach remote clusters with a 240.x source, which nobody there can answer; "
            "pods are not affected"
        )
    if target == "TCPMSS":
        return "TCP does not learn how small its segments must be: large transfers stall where ICMP is filtered"
    if target == c.INPUT_CHAIN or f"--dport {c.VX_SUBMARINER_PORT}" in rule.text:
        return (
            f"whether UDP {c.VX_SUBMARINER_PORT} (vx-submariner) is let in is up to other rules and the policy of INPUT"
        )
    if target == c.FORWARD_CHAIN or f"-o {c.VX_SUBMARINER}" in rule.text:
        return "whether pods' packets are forwarded to vx-submariner is up to other rules and the policy of FORWARD"
    if target == c.POSTROUTING_CHAIN:
        if rule.table == "mangle":
            return "TCP's segment size is not clamped: large transfers stall where ICMP is filtered"
        return "Submariner's rules of nat are not asked: the CNI masquerades traffic between clusters, and answers are lost"
    if is_unexpected:
        return f"packets that match skip all later rules of {rule.table}: {_STALE}, or the rule stands there twice"
    return "packets that match may be masqueraded by later rules: the other cluster sees a wrong source, answers may be lost"


def _setting(key: str) -> str:
    device, name = key.removeprefix("net.ipv4.conf.").rsplit(".", 1)
    if name == "rp_filter":
        return f"the kernel drops what arrives on {device} unless the answer would leave by it; between clusters it takes another way"
    if name == "forwarding":
        return f"what arrives on {device} for somebody else is dropped"
    if name == "send_redirects":
        return "the gateway tells senders of a shorter way that does not lead through the cable"
    return "not as Submariner's agents leave it"


def _pair(name: str, value: str, is_unexpected: bool) -> str:
    """A chain as (table, chain), or a set with its type or one member."""
    if name in (c.LOCAL_CIDRS_SET, c.REMOTE_CIDRS_SET):
        if value.startswith("type "):
            return "the rules that clamp TCP's segment size have no such set to match on"
        side = "inside" if name == c.LOCAL_CIDRS_SET else "to"
        if is_unexpected:
            return f"TCP segments of connections {side} {value} are clamped though no cable carries them: {_STALE}"
        return (
            f"TCP segments of connections {side} {value} are not clamped: large transfers stall where ICMP is filtered"
        )
    return (
        f"rules of {value} in {name} are not applied: {_STALE}" if is_unexpected else f"no rule of {value} is applied"
    )


def _as(kind: type[T], element: object) -> T | None:
    return element if isinstance(element, kind) else None
