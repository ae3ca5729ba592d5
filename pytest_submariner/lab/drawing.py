"""A running lab as text: gateways on the cable, the other nodes of each cluster behind theirs, faults where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

SHOWN = 12
"""Nodes of a cluster that get a line each; of more, those without a fault are counted."""
_PLAIN = str.maketrans({"┌": "+", "├": "+", "└": "+", "│": "|", "─": "-", "✗": "x"})

Node = dict[str, Any]


def draw(lab: dict[str, Any], *, plain: bool = False) -> str:
    """`lab` is an entry of `status --json`. At most 80 columns wide, unless a name alone is longer; `plain` is ASCII only."""
    text = "\n".join(_lines(lab))
    return text.translate(_PLAIN) if plain else text


def _lines(lab: dict[str, Any]) -> Iterator[str]:
    faults = _by_node(lab["faults"])
    yield f"lab {lab['name']}: up for {_duration(lab['age_s'])}, pid {lab['pid']}, profile {lab['profile']}"
    yield ""
    width = max((len(node["name"]) for node in lab["nodes"]), default=0)
    cable = f"{lab.get('cable', 'vxlan')} cable"  # labs of older versions don't say it: they had one kind
    yield f"  {cable:<{width + 6}}  {'role':<11}  {'underlay':<15}  CNI"
    clusters = list(dict.fromkeys(node["cluster"] for node in lab["nodes"]))
    for cluster in clusters:
        yield "  │"
        yield from _cluster(
            [n for n in lab["nodes"] if n["cluster"] == cluster], cluster == clusters[-1], width, faults
        )
    if lab["faults"]:
        yield ""
        yield f"  ✗ fault; undo all with: submariner-lab heal --all --name {lab['name']}"


def _cluster(nodes: Sequence[Node], is_last: bool, width: int, faults: dict[str, list[str]]) -> Iterator[str]:
    """Every labelled gateway on the trunk, the other nodes behind the last of them."""
    gateways = [node for node in nodes if node["role"] == "gateway"]
    others = [node for node in nodes if node["role"] != "gateway"]
    for gateway in gateways:
        ends = is_last and gateway is gateways[-1]
        yield _row(f"  {'└' if ends else '├'}─ ", gateway, width + 3)
        below = others and gateway is gateways[-1]
        yield from _faults_of(gateway, f"  {' ' if ends else '│'}  {'│' if below else ' '}  ", faults)
    if others:
        yield f"  {' ' if is_last else '│'}  │ vx-submariner"
    yield from _others(others, f"  {' ' if is_last else '│'}  ", width, faults)


def _others(nodes: Sequence[Node], indent: str, width: int, faults: dict[str, list[str]]) -> Iterator[str]:
    shown = list(nodes)
    if len(nodes) > SHOWN:
        shown = [n for i, n in enumerate(nodes) if i < SHOWN - 1 or n["name"] in faults]
    hidden = len(nodes) - len(shown)
    for index, node in enumerate(shown):
        is_last = index == len(shown) - 1 and not hidden
        yield _row(f"{indent}{'└' if is_last else '├'}─ ", node, width)
        yield from _faults_of(node, f"{indent}{' ' if is_last else '│'}  ", faults)
    if hidden:
        yield f"{indent}└─ {hidden} more, {nodes[-1]['name']} the last"


def _row(prefix: str, node: Node, width: int) -> str:
    return f"{prefix}{node['name']:<{width}}  {node['role']:<11}  {node['ip']:<15}  {node['cni_ip']}"


def _faults_of(node: Node, indent: str, faults: dict[str, list[str]]) -> Iterator[str]:
    yield from (f"{indent}✗ {fault}" for fault in faults.get(node["name"], ()))


def _by_node(faults: Sequence[str]) -> dict[str, list[str]]:
    """`fault@node` as the lab lists them, by node."""
    found: dict[str, list[str]] = {}
    for fault in faults:
        name, _, node = fault.rpartition("@")
        found.setdefault(node, []).append(name)
    return found


def _duration(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h 05 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
