"""Asks again and again, where failures look like chance; `repeats` says what, and what the answers mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pytest_submariner.diagnose.flow import flows
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.repeats import TIMES, ArpAnswers, Repeat, contradictory, worth_repeating
from pytest_submariner.diagnose.reasoning.routelookup import lookup
from pytest_submariner.diagnose.tracing.ladder import underlay
from pytest_submariner.errors import SubmarinerError
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node
from pytest_submariner.nodestate.arp import arp_answers
from pytest_submariner.transport.node import NodeExec

MOST_ADDRESSES = 24
AT_ONCE = 8
Ask = Callable[[Sequence[PathCase]], Mapping[str, PathResult]]


def repeated(seen: Observation, ask: Ask | None, node_exec: Callable[[Node], NodeExec]) -> Observation:
    """With `repeats` and `arp_answers`, when failures look like chance; else as it was. A look at clusters in which nothing fails asks
    for duplicate addresses too, which break paths now and then. What cannot be asked is named in `unread`."""
    by_chance = contradictory(seen)
    if seen.failing and not by_chance:
        return seen
    notes: list[str] = []
    repeats: tuple[Repeat, ...] = ()
    if ask is not None and by_chance:
        try:
            repeats = repeat(seen, ask, worth_repeating(seen))
        except SubmarinerError as error:
            notes.append(f"paths could not be asked repeatedly: {error}")
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="arp") as pool:
        asked = [pool.submit(_answers, seen, node, ips, node_exec, notes) for node, ips in _questions(seen)]
        answers = tuple(answer for future in asked for answer in future.result())
    return replace(seen, repeats=repeats, arp_answers=answers, unread=(*seen.unread, *notes))


def repeat(seen: Observation, ask: Ask, cases: Sequence[PathCase], times: int = TIMES) -> tuple[Repeat, ...]:
    """All at once: a tag of its own makes each repetition a path. What could not be asked does not count."""
    tagged = {replace(case, tags=(*case.tags, f"again{i}")): case for case in cases for i in range(times)}
    results = ask(tuple(tagged))
    sent: Counter[PathCase] = Counter()
    lost: Counter[PathCase] = Counter()
    ends: dict[PathCase, tuple[Node, Node]] = {}
    for flow in flows(results.values(), seen.topology):
        case = tagged.get(flow.case)
        if case is not None and (flow.works or flow.fails):
            sent[case] += 1
            lost[case] += flow.fails
            ends[case] = flow.nodes
    return tuple(
        Repeat(case.id, (a.cluster, a.name), (b.cluster, b.name), sent[case], lost[case])
        for case, (a, b) in ends.items()
    )


def _questions(seen: Observation) -> list[tuple[Node, tuple[str, ...]]]:
    """Per cluster concerned two nodes that ask: one for all others, another one for the first."""
    found = []
    concerned = {node.cluster for flow in seen.failing or seen.flows for node in flow.nodes}
    for cluster in seen.clusters:
        nodes = sorted(cluster.nodes, key=lambda node: (node.role.value, node.name))[:MOST_ADDRESSES]
        if cluster.position in concerned and len(nodes) > 1:
            found.append((nodes[0], tuple(node.internal_ip for node in nodes[1:])))
            found.append((nodes[1], (nodes[0].internal_ip,)))
    return found


def _answers(
    seen: Observation, node: Node, ips: tuple[str, ...], node_exec: Callable[[Node], NodeExec], notes: list[str]
) -> list[ArpAnswers]:
    sight = seen.sight(node)
    if sight is None:
        return []
    device = underlay(sight)
    near = [ip for ip in ips if (found := lookup(sight.before, ip)) is not None and found.route.gateway is None]
    if not device or not near:
        return []
    try:
        told = arp_answers(node_exec(node), device, near)
    except SubmarinerError as error:
        notes.append(f"{node.name}: could not ask who answers for addresses of nodes: {error}")
        return []
    return [ArpAnswers(node.cluster, node.name, ip, macs) for ip, macs in told.items()]
