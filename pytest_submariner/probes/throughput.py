"""Figures of paths under load: a server in the target's probe pod, a client in the source's, one measurement at a time."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from pytest_submariner.errors import (
    ExitStatusLost,
    NodeUnreachable,
    ProbeInconclusive,
    RequirementUnmet,
    SubmarinerError,
)
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.model.path import Protocol as PathProtocol
from pytest_submariner.model.performance import Figure, LoadCase, Measure, RoundTrips, State
from pytest_submariner.model.topology import Topology
from pytest_submariner.paths.loads import baseline
from pytest_submariner.probes.conversation import read_lines
from pytest_submariner.probes.fleet import Fleet
from pytest_submariner.probes.placement import place
from pytest_submariner.probes.pods import CONTAINER, NEEDS_PYTHON, Place, lacks_python, source_of

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient

OMIT_S = 0.2
"""Slow start, which does not count: as iperf3's --omit."""
SAMPLES = {PathProtocol.TCP: 20_000, PathProtocol.ICMP: 200}
ICMP_PAUSE_S = 0.004
SLACK_S = 30.0
"""What starting processes, connecting and silence may take on top of a measurement."""
TRIES = 2
BOOTSTRAP = (
    "import json, sys; request = json.loads(sys.stdin.readline()); "
    "exec(compile(request['source'], 'loadagent', 'exec'), {'__name__': 'loadagent', 'REQUEST': request})"
)
COMMAND = ["sh", "-c", f'{NEEDS_PYTHON}; exec python3 -u -c "{BOOTSTRAP}"']
Lines = Generator[bytes, None, None] | Iterator[bytes]


class LoadSettings(Protocol):
    """What is needed of the settings."""

    @property
    def image(self) -> str: ...
    @property
    def keep(self) -> bool: ...
    @property
    def performance_time(self) -> float: ...


class LoadProber:
    """Measures `LoadCase`s with probe pods of its own, made when first needed. Never two at a time: they would measure each other."""

    def __init__(
        self, topology: Topology, kube: Callable[[str], KubeClient], settings: LoadSettings, *, run_id: str
    ) -> None:
        self._topology = topology
        self._kube = kube
        self._settings = settings
        self._fleet = Fleet(kube, run_id, settings.image)
        self._figures: dict[str, Figure] = {}
        self._lock = Lock()

    def measure(self, case: LoadCase) -> Figure:
        """The figure, compared with the same inside the source's cluster, which is measured for it unless it was already."""
        figure = self._measured(case)
        other = baseline(case)
        if other is None or figure.value is None:
            return figure
        inside = self._measured(other)
        if inside.value is None:
            return replace(figure, intra_id=inside.id)
        return replace(figure, intra_id=inside.id, ratio=round(figure.value / inside.value, 4))

    def close(self) -> None:
        """Remove what was created, unless the settings say to keep it."""
        if not self._settings.keep:
            self._fleet.close()

    def _measured(self, case: LoadCase) -> Figure:
        with self._lock:
            if case.id not in self._figures:
                self._figures[case.id] = self._measure(case)
            return self._figures[case.id]

    def _measure(self, case: LoadCase) -> Figure:
        try:
            placement = place(case.path, self._topology)
        except RequirementUnmet as reason:
            return Figure(case.id, State.SKIPPED, str(reason))
        source, target = (Place(node.cluster, node.name) for node in (placement.source, placement.target))
        figure = Figure(case.id, State.ERROR, source_node=source.node, target_node=target.node)
        try:
            self._fleet.ensure([source, target], [])
            figure = replace(figure, target_address=self._fleet.address(target))
            self._fleet.address(source)
            answer = self._ask_again(case, source, target)
        except SubmarinerError as error:
            if lacks_python(error):
                lacking = f"needs python3 in the probe image; {self._settings.image} has none"
                return replace(figure, state=State.SKIPPED, detail=lacking)
            return replace(figure, detail=f"could not measure: {error}")
        return _figure(figure, answer)

    def _ask_again(self, case: LoadCase, source: Place, target: Place) -> dict[str, Any]:
        """Only "could not ask" is asked again."""
        for attempt in range(1, TRIES + 1):
            try:
                return self._ask(case, source, target)
            except (NodeUnreachable, ExitStatusLost) as error:
                if attempt == TRIES or isinstance(error, AccessDenied):
                    raise
            time.sleep(0.5)
        raise AssertionError("the last try either returns or raises")

    def _ask(self, case: LoadCase, source: Place, target: Place) -> dict[str, Any]:
        seconds, nonce = self._settings.performance_time, uuid.uuid4().hex
        request: dict[str, Any] = {"nonce": nonce, "seconds": seconds, "address": self._fleet.address(target)}
        if case.path.protocol is PathProtocol.ICMP:
            request |= {"mode": "icmp", "samples": SAMPLES[PathProtocol.ICMP], "pause_s": ICMP_PAUSE_S}
            return self._run(source, request)
        if case.measure is Measure.THROUGHPUT:
            request |= {"mode": "throughput", "streams": case.streams, "omit_s": OMIT_S}
        else:
            request |= {"mode": "tcp", "samples": SAMPLES[PathProtocol.TCP]}
        with self._server(target, nonce) as port:
            return self._run(source, {**request, "port": port})

    @contextmanager
    def _server(self, target: Place, nonce: str) -> Iterator[int]:
        """The port of a server in the pod at `target`; it ends with the conversation."""
        patience = self._settings.performance_time + SLACK_S
        lines = self._converse(target, {"mode": "serve", "nonce": nonce, "timeout_s": patience})
        try:
            try:
                port = int(json.loads(next(lines))["hello"]["port"])
            except (StopIteration, ValueError, KeyError, TypeError):
                raise ProbeInconclusive(f"{target}: the server did not say its port") from None
            yield port
        finally:
            if isinstance(lines, Generator):
                lines.close()

    def _run(self, source: Place, request: dict[str, Any]) -> dict[str, Any]:
        documents = read_lines(self._converse(source, request), request["nonce"])
        answer = documents[-1].get("answer")
        if not isinstance(answer, dict):
            raise ProbeInconclusive(f"{source}: the agent gave no figures")
        return answer

    def _converse(self, at: Place, request: dict[str, Any]) -> Lines:
        line = json.dumps({**request, "source": source_of("loadagent")}).encode()
        patience = self._settings.performance_time + SLACK_S
        return self._kube(at.cluster).converse(
            self._fleet.namespace, at.pod, CONTAINER, COMMAND, first_line=line, timeout=patience
        )


def _figure(figure: Figure, answer: dict[str, Any]) -> Figure:
    """What the agent said, with the sentence that says it."""
    where = f"{figure.source_node} → {figure.target_node} ({figure.target_address})"
    if "failed" in answer:
        said = f"{where}: {answer.get('error', 'no reason given')}"
        if answer["failed"] == "unable":
            return replace(figure, state=State.SKIPPED, detail=said)
        return replace(figure, state=State.FAILED, detail=said)
    try:
        if "rtt_ms" in answer:
            trips = RoundTrips(**answer["rtt_ms"], samples=answer["samples"], lost=answer["lost"])
            lost = f", {trips.lost} lost" if trips.lost else ""
            text = f"median {trips.p50:.3f} ms, 99th percentile {trips.p99:.3f} ms of {trips.samples} round trips{lost}"
            return replace(figure, state=State.MEASURED, detail=f"{where}: {text}", round_trips=trips)
        streams = f"{answer['streams']} stream{'s' if answer['streams'] > 1 else ''}"
        return replace(
            figure,
            state=State.MEASURED,
            detail=f"{where}: {float(answer['mbit_s']):,.0f} Mbit/s arrived in {answer['seconds']:.1f} s over {streams}",
            mbit_s=float(answer["mbit_s"]),
            seconds=float(answer["seconds"]),
            retransmits=int(answer["retransmits"]),
            segment_bytes=int(answer["segment_bytes"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{where}: the figures cannot be read ({type(error).__name__}: {error})"
        return replace(figure, state=State.ERROR, detail=problem)
