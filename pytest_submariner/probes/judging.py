"""From what sources answered to results: each measurement with its promise, its evidence and the command that repeats it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_submariner.model.path import Protocol as PathProtocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Topology
from pytest_submariner.paths.expectations import Promise
from pytest_submariner.paths.sizes import LARGEST, PMTU, must_carry, overhead
from pytest_submariner.probes.conversation import Conversation, Probe
from pytest_submariner.probes.judge import Ends, judge
from pytest_submariner.probes.measurement import Measurement
from pytest_submariner.probes.pods import Place
from pytest_submariner.probes.route import ByHand, Route


class Pods(Protocol):
    """What is asked of the probe pods: their addresses, and what they have in common."""

    run_id: str
    port: int

    def address(self, place: Place) -> str: ...


@dataclass(frozen=True)
class Answer:
    """What one source said, not judged yet: all routes have that source, and each a probe by the id of its case."""

    routes: Sequence[Route]
    conversation: Conversation
    probes: Mapping[str, Probe]


class Judging:
    """Once everybody has answered: what a path must carry depends on what the nodes at both ends tell of their MTU.

    `mtus`: of the default devices of the pods that told one; `without_python`: pods that were asked by the shell prober.
    """

    def __init__(
        self, topology: Topology, pods: Pods, mtus: Mapping[Place, int], without_python: Collection[Place]
    ) -> None:
        self._topology = topology
        self._pods = pods
        self._mtus = mtus
        self._without_python = without_python
        self._promised_mtus: dict[tuple[Place, str], tuple[int | None, str]] = {}

    def results(self, answer: Answer, promises: Mapping[str, Promise]) -> Iterator[PathResult]:
        source = answer.routes[0].source
        cluster = self._topology.cluster(source.cluster)
        address = self._pods.address(source)
        by_hand = ByHand.of(cluster, self._pods.run_id, source, shell=source in self._without_python)
        asked = f"{source} ({address}) asked"
        for route in answer.routes:
            measurement, probe = answer.conversation.measurements[route.case.id], answer.probes[route.case.id]
            promised = promises[route.case.id]
            carry, words = self._promised_mtu(source, route) if probe.tag == PMTU else (None, "")
            ends = Ends(
                source_address=address,
                source_addresses=answer.conversation.hello.addresses,
                source_pod_cidrs=cluster.pod_cidrs,
                target=route.target_words(probe.address),
                listener=route.listener,
                must_carry=carry,
                mtu_words=words,
            )
            judgement = judge(route.case, promised, measurement, ends)
            yield PathResult(
                route.case.id,
                promised.expected,
                judgement.verdict,
                attempts=measurement.attempts,
                rtt_ms=measurement.rtt_ms,
                source_expected=promised.source,
                source_seen=measurement.seen,
                detail=judgement.detail,
                evidence=(
                    *self._told(asked, route, probe, measurement, source),
                    f"promised: {promised.reason} ({promised.reference})",
                ),
                source_node=route.placement.source.name,
                target_node=route.placement.target.name,
                source_address=address,
                target_address=probe.address,
                command=route.command(by_hand, probe),
                duration_s=measurement.duration_s,
                extra={} if measurement.reached is None else {"mtu": measurement.reached},
            )

    def _told(self, asked: str, route: Route, probe: Probe, measurement: Measurement, source: Place) -> Iterator[str]:
        port = "" if probe.protocol is PathProtocol.ICMP else f":{probe.port}"
        tries = ", ".join(measurement.history)
        yield f"{asked} {probe.address}{port} by {probe.protocol}, {probe.amount}: {tries}"
        if measurement.local:
            yield f"it sent from {measurement.local}"
        if measurement.seen:
            yield f"pod {measurement.listener} answered and saw source {measurement.seen}"
        if measurement.settling:
            yield f"{measurement.settling} refusals before that, while the listener came up, do not count"
        if source in self._without_python:
            yield "asked by the shell prober: the probe image has no python3"

    def _promised_mtu(self, source: Place, route: Route) -> tuple[int | None, str]:
        """`must_carry` and `mtu_words` of `Ends`."""
        key = (source, route.placement.target.cluster)
        if key not in self._promised_mtus:
            self._promised_mtus[key] = self._between(*key)
        return self._promised_mtus[key]

    def _between(self, source: Place, there: str) -> tuple[int | None, str]:
        """Host-network pods see the nodes' own devices; where none was asked, pods have to do."""
        ends = (source.cluster, there)
        told = {place: mtu for place, mtu in self._mtus.items() if place.cluster in ends}
        hosts = {place: mtu for place, mtu in told.items() if place.host_network} or told
        underlays = [[mtu for place, mtu in hosts.items() if place.cluster == cluster] for cluster in ends]
        driver = self._topology.cluster(source.cluster).cable_driver
        targets = [mtu for place, mtu in told.items() if place.cluster == there and not place.host_network]
        ends_carry = min((told.get(source, LARGEST), max(targets, default=LARGEST)))
        wanted = must_carry(underlays, driver, ends_carry)
        if not wanted:
            return None, ""
        if wanted == ends_carry:
            return wanted, "the MTU of the pods at its ends"
        return wanted, f"MTU {min(max(mtus) for mtus in underlays if mtus)} less the tunnels' {overhead(driver)}"
