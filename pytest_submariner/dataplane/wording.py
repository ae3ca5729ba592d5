"""Elements of a node's state in the words of the tools that print them: ip, bridge, iptables-save, ipset, sysctl."""

from __future__ import annotations

from pytest_submariner.model.nodestate import Address, FdbEntry, Link, PacketFilterRule, Route, Rule


def describe(element: object) -> str:
    """One line for people; tuples (chains, set members, settings) are joined."""
    if isinstance(element, PacketFilterRule):
        return f"{element.table}: -A {element.chain} {element.text}"
    if isinstance(element, Link):
        return _link(element)
    if isinstance(element, Address):
        return f"{element.ip}/{element.prefix_length} dev {element.device}"
    if isinstance(element, FdbEntry):
        return f"{element.mac} dev {element.device} dst {element.dst} {element.state}".rstrip()
    if isinstance(element, Route):
        return _route(element)
    if isinstance(element, Rule):
        to = "" if element.destination == "all" else f" to {element.destination}"
        return f"{element.priority}: from {element.source}{to} lookup {element.table}"
    if isinstance(element, tuple):
        return " ".join(str(part) for part in element)
    return str(element)


def _link(link: Link) -> str:
    words = [link.name, link.kind, "up" if link.up else "down", f"mtu {link.mtu}"]
    if link.vni is not None:
        words += [f"id {link.vni}", f"dstport {link.port}"]
        words += [f"remote {link.remote}"] if link.remote else []
        words.append("learning" if link.learning else "nolearning")
    return " ".join(filter(None, words))


def _route(route: Route) -> str:
    words = ["" if route.kind == "unicast" else route.kind, route.destination]
    words += [f"via {route.gateway}"] if route.gateway else []
    words += [f"dev {route.device}"] if route.device else []
    words += [f"table {route.table}"] if route.table != "main" else []
    words += [f"src {route.source}"] if route.source else []
    words += [f"metric {route.metric}"] if route.metric else []
    words += [f"proto {route.protocol}"] if route.protocol != "boot" else []
    words += [f"scope {route.scope}"] if route.scope != "global" else []
    return " ".join(filter(None, words))
