"""The prober: path cases in, results out. Roles become nodes, sources ask all their probes in one conversation each."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pytest_submariner.errors import ProbeInconclusive, RequirementUnmet, SubmarinerError, TransportError
from pytest_submariner.model.path import Kind, PathCase
from pytest_submariner.model.path import Protocol as PathProtocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node, Topology
from pytest_submariner.model.verdict import Expectation, Verdict
from pytest_submariner.paths.expectations import Promise, promise
from pytest_submariner.probes import gateway_status, listeners
from pytest_submariner.probes.asking import ask_listener, converse
from pytest_submariner.probes.conversation import Probe, Request
from pytest_submariner.probes.fleet import Fleet
from pytest_submariner.probes.judging import Answer, Judging
from pytest_submariner.probes.placement import place
from pytest_submariner.probes.pods import Place
from pytest_submariner.probes.route import ByHand, Route, kubectl

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient
    from pytest_submariner.transport.node import NodeExec

ATTEMPTS = 3
"""They overlap (`agent.Asking`), so that a path counts as silent after one time-out and 0.8 seconds, and after as many lost packets as
`subctl verify` waits for in two attempts of five seconds: six SYNs, in the kernel's rhythm of 1, 3 … seconds, from three ports."""
AGAIN_S = 1.0
"""For an attempt that is traced: on a data plane that works answers take milliseconds, and a lost packet is lost at once."""
SOURCES_AT_ONCE = 16


class ProbeSettings(Protocol):
    """What a prober needs of the settings: the probe pods' image, the seconds of one attempt, whether to leave the pods in place,
    how many probes to start per second (None: as fast as it goes), how many pods a node may get."""

    @property
    def image(self) -> str: ...
    @property
    def timeout(self) -> float: ...
    @property
    def keep(self) -> bool: ...
    @property
    def rate(self) -> int | None: ...
    @property
    def pods_per_node(self) -> int: ...


@dataclass(frozen=True)
class PlainSettings:
    """`ProbeSettings` of whoever has no pytest run."""

    image: str
    timeout: float
    keep: bool = False
    rate: int | None = None
    pods_per_node: int = 3


class Prober:
    """Measures paths by probe pods. `kube` gives the client of a position, `node_exec` runs commands on a node (needed for the
    vx-submariner ping alone), `run_id` names what is created in the clusters (lower-case letters and digits)."""

    def __init__(
        self,
        topology: Topology,
        kube: Callable[[str], KubeClient],
        settings: ProbeSettings,
        *,
        node_exec: Callable[[Node], NodeExec] | None = None,
        run_id: str | None = None,
    ) -> None:
        self.topology = topology
        self.settings = settings
        self.run_id = run_id or uuid.uuid4().hex[:8]
        self._kube = kube
        self._fleet = Fleet(kube, self.run_id, settings.image)
        self._mtus: dict[Place, int] = {}
        self._without_python: set[Place] = set()
        """What agents told of the device with their default route."""
        self._node_exec = node_exec

    def measure(
        self, cases: Sequence[PathCase], *, attempts: int = ATTEMPTS, timeout_s: float | None = None
    ) -> dict[str, PathResult]:
        """A result for each of `cases`, by path id. A path that nobody promises anything about is an error of its own.
        `timeout_s` is for an attempt (None: as the settings say)."""
        promises: dict[str, Promise] = {}
        results: dict[str, PathResult] = {}
        routes: list[Route] = []
        for case in cases:
            try:
                promises[case.id] = promise(case)
                routes.append(Route(case, place(case, self.topology, self.settings.pods_per_node)))
            except ValueError as error:
                results[case.id] = PathResult(case.id, Expectation.OK, Verdict.ERROR, detail=str(error))
            except RequirementUnmet as error:
                results[case.id] = _result(case, promises[case.id], Verdict.SKIPPED, str(error))
        status = [route for route in routes if route.case.protocol is PathProtocol.STATUS]
        vx = [route for route in routes if route.case.target.kind is Kind.VX]
        traffic = [route for route in routes if route not in status and route not in vx]
        with ThreadPoolExecutor(1, thread_name_prefix="prober-vx") as beside:
            # Before the others, whose host traffic raises the very counter that is evidence there; mostly it waits, and so do new pods.
            pinged = beside.submit(self._ping_vx, vx)
            self._make_pods(traffic, {place for route in vx for place in _ends_of(route)})
            results.update(pinged.result())
        with ThreadPoolExecutor(SOURCES_AT_ONCE, thread_name_prefix="prober") as pool:
            read = [pool.submit(self._read_status, route, promises[route.case.id]) for route in status]
            sources = _by_source(traffic)
            share = self._share(len(sources))
            effort = Effort(attempts, timeout_s or self.settings.timeout, share)
            asked = [pool.submit(self._ask, source, promises, effort) for source in sources]
            results.update({result.id: result for future in read for result in [future.result()]})
            answers = [answer for future in asked for answer in future.result()]
        # Judged once everybody has answered: what a path must carry depends on what the nodes at both ends tell of their MTU.
        judging = Judging(self.topology, self._fleet, self._mtus, self._without_python)
        for answer in answers:
            judged = answer if isinstance(answer, list) else judging.results(answer, promises)
            results.update({result.id: result for result in judged})
        results.update(
            listeners.confirm(traffic, results, partial(ask_listener, self._kube, self._fleet), self._fleet.port)
        )
        return {case.id: results[case.id] for case in cases}

    def again(self, cases: Sequence[PathCase]) -> dict[str, PathResult]:
        """Ask once more and briefly, while somebody watches the packets."""
        return self.measure(cases, attempts=1, timeout_s=AGAIN_S)

    @property
    def notes(self) -> list[str]:
        """What a reader of the results has to know about how they came about."""
        if not self._without_python:
            return []
        return [
            f"probe image {self.settings.image} has no python3: a shell prober asked by nc and ping, without path MTU and bulk data"
        ]

    def close(self) -> None:
        """Remove what was created, unless the settings say to keep it."""
        if not self.settings.keep:
            self._fleet.close()

    def _make_pods(self, routes: Iterable[Route], made: Collection[Place]) -> None:
        """All but those that somebody else makes."""
        places: set[Place] = set()
        services: set[Place] = set()
        for route in routes:
            places.update({route.source, *([route.target] if route.target else [])})
            services.update([route.service] if route.service else [])
        self._fleet.ensure(places.difference(made), services)

    def _share(self, sources: int) -> float | None:
        """Probes per second that each of so many sources may start."""
        return self.settings.rate / min(SOURCES_AT_ONCE, sources) if self.settings.rate else None

    def _ask(
        self, routes: Sequence[Route], promises: dict[str, Promise], effort: Effort
    ) -> list[list[PathResult] | Answer]:
        """All paths of one source: what it answered, and the results of those that could not be asked."""
        results: list[PathResult] = []
        probes: dict[str, Probe] = {}
        for route in routes:
            try:
                self._fleet.address(route.source)
                probes[route.case.id] = route.probe(self._address(route), self._fleet.port)
            except TransportError as error:
                detail = f"could not ask: {error}"
                results.append(_placed(route, _result(route.case, promises[route.case.id], Verdict.ERROR, detail)))
        asked = [route for route in routes if route.case.id in probes]
        if not asked:
            return [results]
        request = Request(
            list(probes.values()),
            timeout_s=effort.timeout_s,
            attempts=effort.attempts,
            settle_s=self._fleet.settling_s,
            rate=effort.rate,
        )
        started = time.monotonic()
        try:
            conversation = converse(self._kube, self._fleet, asked[0].source, request)
        except SubmarinerError as error:
            verdict = Verdict.INCONCLUSIVE if isinstance(error, ProbeInconclusive) else Verdict.ERROR
            detail = str(error) if verdict is Verdict.INCONCLUSIVE else f"could not ask: {error}"
            took = time.monotonic() - started
            by_hand = ByHand.of(self.topology.cluster(asked[0].source.cluster), self.run_id, asked[0].source)
            failed = [_result(route.case, promises[route.case.id], verdict, detail) for route in asked]
            results += [
                _placed(route, replace(result, duration_s=took, command=route.command(by_hand, probes[result.id])))
                for route, result in zip(asked, failed, strict=True)
            ]
            return [results]
        if not conversation.hello.python:
            self._without_python.add(asked[0].source)
        if conversation.hello.mtu is not None:
            self._mtus[asked[0].source] = conversation.hello.mtu
        return [results, Answer(asked, conversation, probes)]

    def _ping_vx(self, routes: Sequence[Route]) -> dict[str, PathResult]:
        if not routes:
            return {}
        from pytest_submariner.probes.vx_ping import VxPing

        self._fleet.ensure({place for route in routes for place in _ends_of(route)}, ())
        vx_ping = VxPing(self.topology, self._kube, self._fleet, self._node_exec)
        with ThreadPoolExecutor(SOURCES_AT_ONCE, thread_name_prefix="vx") as pool:
            return {
                route.case.id: _placed(route, result)
                for route, result in zip(routes, pool.map(vx_ping.measure, routes), strict=True)
            }

    def _read_status(self, route: Route, promised: Promise) -> PathResult:
        here, there = route.case.source.cluster, route.case.target.cluster
        started = time.monotonic()
        status = gateway_status.watch(
            lambda: self._kube(here),
            lambda: self._kube(there),
            self.topology.cluster(there).cluster_id,
            ATTEMPTS * self.settings.timeout,
        )
        result = replace(
            _result(route.case, promised, status.verdict, status.detail),
            attempts=status.reads,
            rtt_ms=status.rtt_ms,
            evidence=(*status.evidence, f"promised: {promised.reason} ({promised.reference})"),
            command=f"{kubectl(self.topology.cluster(here))} get gateways.submariner.io -A -o yaml",
            duration_s=time.monotonic() - started,
        )
        return _placed(route, result)

    def _address(self, route: Route) -> str:
        """TransportError when the pod or Service that has the address could not be made."""
        if route.service is not None:
            return self._fleet.service_address(route.service)
        if route.target is not None:
            return self._fleet.address(route.target)
        return route.placement.target.internal_ip


@dataclass(frozen=True)
class Effort:
    """How hard a source tries: attempts per path, seconds of each, probes it starts per second (None: at once)."""

    attempts: int
    timeout_s: float
    rate: float | None


def _by_source(routes: Iterable[Route]) -> list[list[Route]]:
    groups: dict[Place, list[Route]] = defaultdict(list)
    for route in routes:
        groups[route.source].append(route)
    return list(groups.values())


def _ends_of(route: Route) -> tuple[Place, Place]:
    """The host-network pods at both ends of the ping of vx-submariner."""
    node = route.placement.target
    return route.source, Place(node.cluster, node.name, True)


def _result(case: PathCase, promised: Promise, verdict: Verdict, detail: str) -> PathResult:
    return PathResult(case.id, promised.expected, verdict, source_expected=promised.source, detail=detail)


def _placed(route: Route, result: PathResult) -> PathResult:
    return replace(result, source_node=route.placement.source.name, target_node=route.placement.target.name)
