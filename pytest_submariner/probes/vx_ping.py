"""The ping of submariner issue 3134, measured: host-network pods on both nodes send and capture, nat counters are read around it."""

from __future__ import annotations

import ipaddress
import json
import queue
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pytest_submariner.errors import ExecTimeout, ProbeInconclusive, SubmarinerError, TransportError
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node, Topology
from pytest_submariner.model.verdict import Expectation, Verdict
from pytest_submariner.probes import vx_story, watcher
from pytest_submariner.probes.conversation import read_lines
from pytest_submariner.probes.pods import CONTAINER, Place, lacks_python, watcher_command
from pytest_submariner.probes.route import Route, exec_command
from pytest_submariner.probes.vx_evidence import (
    SnatRule,
    VxEvidence,
    read_documents,
    snat_rules,
    with_counters,
)

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient
    from pytest_submariner.probes.fleet import Fleet
    from pytest_submariner.transport.node import NodeExec

ECHOES = 3
INTERVAL_S = 0.05
WAIT_S = 1.0
QUIET_S = 0.4
SPARE_S = 0.3
LOOPBACK = "lo"
CAPTURE_S = 20.0
"""The gateway's capture ends a moment after the last packet of ours; this is for when none comes."""
START_S = 15.0
Documents = list[dict[str, Any]]


class _NothingToPing(SubmarinerError):
    """The gateway lacks the address."""


class VxPing:
    """Measures the ping of one cluster at a time."""

    def __init__(
        self,
        topology: Topology,
        kube: Callable[[str], KubeClient],
        fleet: Fleet,
        node_exec: Callable[[Node], NodeExec] | None,
    ) -> None:
        self._topology = topology
        self._kube = kube
        self._fleet = fleet
        self._node_exec = node_exec

    def measure(self, route: Route) -> PathResult:
        """By design, or not: with the packet's whole way as evidence. `answered` is recorded, never judged."""
        started = time.monotonic()
        try:
            evidence = self._gather(route)
        except _NothingToPing as error:
            return _told(route, Verdict.BLOCKED, str(error))
        except ProbeInconclusive as error:
            return _told(route, Verdict.INCONCLUSIVE, str(error))
        except SubmarinerError as error:
            if lacks_python(error):
                return _told(
                    route, Verdict.SKIPPED, "needs python3 in the probe image, to capture the packets of the ping"
                )
            return _told(route, Verdict.ERROR, f"could not ask: {error}")
        judgement = vx_story.judge(evidence)
        first = next((echo for echo in evidence.echoes if echo.answered), None)
        cluster = self._topology.cluster(route.source.cluster)
        request = f'exec python3 -u -c "$SUBMARINER_PROBE_AGENT" ask icmp {evidence.address}'
        return PathResult(
            route.case.id,
            Expectation.BY_DESIGN,
            judgement.verdict,
            attempts=len(evidence.echoes),
            rtt_ms=first.rtt_ms if first else None,
            source_seen=evidence.requests_in[0].source if evidence.requests_in else None,
            answered=evidence.answered,
            detail=judgement.detail,
            evidence=vx_story.tell(evidence),
            target_address=evidence.address,
            command=exec_command(cluster, self._fleet.run_id, route.source, request),
            duration_s=time.monotonic() - started,
            extra={
                "source_before": sorted({echo.local for echo in evidence.echoes if echo.local}),
                "source_after": sorted({frame.source for frame in evidence.requests_out}),
                "rule": evidence.rule.text if evidence.rule else None,
                "counter": [evidence.packets_before, evidence.rule.packets if evidence.rule else None],
                "reply_device": sorted({frame.device for frame in evidence.replies_out}),
            },
        )

    def _gather(self, route: Route) -> VxEvidence:
        worker, gateway = route.placement.source, route.placement.target
        here, there = route.source, Place(gateway.cluster, gateway.name, True)
        for place in (here, there):
            self._fleet.address(place)
        token = uuid.uuid4().hex[:16]
        capture = _Request(token, None, CAPTURE_S)
        ready: queue.Queue[str | None] = queue.Queue()
        with ThreadPoolExecutor(2, thread_name_prefix="vx-gateway") as pool:
            captured: Future[Documents] = pool.submit(self._converse, there, capture, ready)
            counters = pool.submit(self._rules, worker)
            address = _ready_address(ready, captured, gateway)
            before, unread = counters.result()
            sent = self._converse(here, _Request(token, address, ECHOES * INTERVAL_S + WAIT_S), None)
            after, unread_after = self._rules(worker)
            self._end(captured, there, token)
            seen = captured.result()
        echoes, worker_frames = read_documents(sent)
        gateway_frames = tuple(frame for frame in read_documents(seen)[1] if frame.device != LOOPBACK)
        evidence = VxEvidence(
            worker=worker.name,
            gateway=gateway.name,
            address=address,
            echoes=echoes,
            worker_frames=worker_frames,
            gateway_frames=gateway_frames,
            rule=None,
            packets_before=None,
            unread=unread or unread_after,
        )
        return with_counters(evidence, before, after)

    def _end(self, captured: Future[Documents], place: Place, token: str) -> None:
        """The capture ends when it has been quiet after a packet of ours. Where none arrived, it gets some over loopback now that
        everything was sent; they are no evidence."""
        try:
            captured.exception(timeout=QUIET_S + SPARE_S)
        except TimeoutError:
            self._converse(place, _Request(token, "127.0.0.1", SPARE_S), None)

    def _rules(self, node: Node) -> tuple[tuple[SnatRule, ...], str]:
        """The SNAT rules of a node now; or none, and why its packet filter could not be read."""
        if self._node_exec is None:
            return (), "no way to run commands on nodes was given"
        from pytest_submariner.nodestate.state import read_state

        try:
            state = read_state(self._node_exec(node), ["packet_filters"])
        except SubmarinerError as error:
            return (), str(error)
        if state.packet_filters is None:
            return (), state.unread.get("packet_filters", "no reason was given")
        return snat_rules(state.packet_filters), ""

    def _converse(self, place: Place, request: _Request, ready: queue.Queue[str | None] | None) -> Documents:
        """The lines of a watcher, proven complete. What it captures can be asked only once, so nothing is retried here."""
        try:
            lines = self._kube(place.cluster).converse(
                self._fleet.namespace,
                place.pod,
                CONTAINER,
                watcher_command(),
                first_line=request.line,
                timeout=request.seconds + START_S,
            )
            return read_lines(_announcing(lines, ready), request.nonce)
        except ExecTimeout as error:
            raise ProbeInconclusive(f"{place}: the capture did not end in time: {error}") from None
        except ProbeInconclusive as error:
            raise ProbeInconclusive(f"{place}: {error}") from None
        except TransportError as error:
            raise TransportError(self._fleet.health(place) or f"{place}: {error}") from None
        finally:
            if ready is not None:
                ready.put(None)


class _Request:
    """The request line of a watcher."""

    def __init__(self, token: str, address: str | None, seconds: float) -> None:
        self.nonce = uuid.uuid4().hex
        self.seconds = seconds
        echo = {"address": address, "count": ECHOES, "interval_s": INTERVAL_S, "wait_s": WAIT_S} if address else None
        document = {
            "version": watcher.VERSION,
            "nonce": self.nonce,
            "token": token,
            "seconds": seconds,
            "quiet_s": QUIET_S,
            "echo": echo,
        }
        self.line = json.dumps(document, separators=(",", ":")).encode()


def _announcing(lines: Iterator[bytes], ready: queue.Queue[str | None] | None) -> Iterator[bytes]:
    """Pass lines on; tell the greeting as soon as the capture is said to run."""
    hello = ""
    for line in lines:
        if ready is not None and b'"hello"' in line[:10]:
            hello = line.decode("utf-8", "replace")
        if ready is not None and line.startswith(b'{"ready"'):
            ready.put(hello)
        yield line


def _ready_address(ready: queue.Queue[str | None], captured: Future[Documents], gateway: Node) -> str:
    """The gateway's 240.x address, once its capture runs. What ended the capture before that is raised."""
    try:
        hello = ready.get(timeout=CAPTURE_S + START_S)
    except queue.Empty:
        raise ProbeInconclusive(f"the capture on {gateway.name} did not begin") from None
    if hello is None:
        captured.result()
        raise ProbeInconclusive(f"the capture on {gateway.name} ended before it began")
    try:
        addresses = json.loads(hello)["hello"]["addresses"]
    except (ValueError, KeyError, TypeError):
        raise ProbeInconclusive(f"the capture on {gateway.name} did not greet") from None
    for address in addresses:
        if ipaddress.ip_address(address) in vx_story.CLASS_E:
            return str(address)
    raise _NothingToPing(
        f"{gateway.name} has no address in {vx_story.CLASS_E}: its vx-submariner is missing, so there is nothing to ping"
    )


def _told(route: Route, verdict: Verdict, detail: str) -> PathResult:
    return PathResult(route.case.id, Expectation.BY_DESIGN, verdict, detail=detail)
