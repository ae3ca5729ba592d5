"""A cluster for probers, in memory: objects as dicts, and agents that answer what a test wants of them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from pytest_submariner.kube.errors import ApiError, PodNotReady

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class ProbeCluster:
    """What `Prober` uses of a `KubeClient`. Pods run as soon as they are created, but for those in `broken`.

    `agents` makes answers, by pod: a callable from a probe to its answer's fields; every other pod answers well.
    `troubles` are raised, in turn, by the conversations with a pod, after as many lines as they say.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.namespaces: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.broken: dict[str, str] = {}
        self.agents: dict[str, Answer] = {}
        self.troubles: dict[str, list[tuple[int, Exception | None]]] = defaultdict(list)
        self.refusals: dict[str, list[Exception]] = defaultdict(list)
        self.damage: dict[str, Callable[[list[bytes]], list[bytes]]] = {}
        """What becomes of the lines a pod says, on their way."""
        self.conversations: list[tuple[str, int]] = []
        self.world: list[ProbeCluster] = [self]
        self._lock = threading.Lock()

    def list(self, resource: str, *, namespace: str | None = None, labels: str = "") -> list[dict[str, Any]]:
        self._note("list", resource)
        assert resource == "namespaces"
        key, _, value = labels.partition("=")
        return [n for n in self.namespaces.values() if n["metadata"]["labels"].get(key) == value]

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> dict[str, Any] | None:
        self._note("get", resource)
        kind: dict[str, dict[str, Any]] = getattr(self, resource)
        return kind.get(name)

    def create(self, resource: str, body: dict[str, Any], *, namespace: str | None = None) -> dict[str, Any]:
        self._note("create", resource)
        name = body["metadata"]["name"]
        with self._lock:
            if self.refusals[resource]:
                raise self.refusals[resource].pop(0)
            kind: dict[str, dict[str, Any]] = getattr(self, resource)
            if name in kind:
                raise ApiError(f"{name} exists", 409, "AlreadyExists")
            if resource == "services":
                body["spec"]["clusterIP"] = f"100.{self.number}.0.{len(kind) + 1}"
            if resource == "pods":
                octet = 100 + len(kind)
                network = "172.18" if body["spec"]["hostNetwork"] else "10"
                body["status"] = {
                    "phase": "Running",
                    "podIP": f"{network}.{self.number}.{octet}".replace("10.", "10.0."),
                }
            kind[name] = body
        return body

    def delete(self, resource: str, name: str, *, namespace: str | None = None, grace: int | None = None) -> None:
        self._note("delete", resource)
        getattr(self, resource).pop(name, None)
        if resource == "namespaces":
            self.pods.clear()
            self.services.clear()

    def wait_running(self, namespace: str, names: Collection[str], deadline_s: float) -> dict[str, dict[str, Any]]:
        self._note("wait", "pods")
        for name in names:
            if name in self.broken:
                raise PodNotReady(f"pod {name} will not run: {self.broken[name]}")
        return {name: self.pods[name] for name in names}

    def converse(
        self,
        namespace: str,
        pod: str,
        container: str | None,
        argv: Sequence[str],
        *,
        first_line: bytes,
        timeout: float,
        patience: float | None = None,
    ) -> Iterator[bytes]:
        request = {"probes": [], **json.loads(first_line)}
        with self._lock:
            self.conversations.append((pod, len(request["probes"])))
            after, trouble = self.troubles[pod].pop(0) if self.troubles[pod] else (10**6, None)
        address = self.pods[pod]["status"]["podIP"]
        hello = {
            "name": pod,
            "python": "3.13",
            "addresses": [address, f"10.0.{self.number}.1", "127.0.0.1"],
            "mtu": 1500,
        }
        documents: list[dict[str, Any]] = [{"hello": hello}]
        for probe in request["probes"]:
            fields = self.agents[pod](probe) if pod in self.agents else self._well(pod, probe)
            documents.append({"id": probe["id"], "attempts": 1, "history": [fields["outcome"]], **fields})
        lines = [json.dumps(document).encode() for document in documents]
        digest = hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()
        lines.append(json.dumps({"trailer": {"nonce": request["nonce"], "digest": digest}}).encode())
        lines = self.damage.get(pod, list)(lines)
        yield from lines[:after]
        if trouble is not None:
            raise trouble

    def _well(self, pod: str, probe: dict[str, Any]) -> dict[str, Any]:
        """What a healthy network would answer: pods keep their source, hosts get the CNI address."""
        if probe["protocol"] == "icmp":
            return {"outcome": "answered", "rtt_ms": 0.2}
        if probe["protocol"] == "mtu":
            return {"outcome": "answered", "rtt_ms": 0.2, "reached": 1450, "stopped": "silence"}
        source = f"10.0.{self.number}.1" if pod.startswith("host-") else self.pods[pod]["status"]["podIP"]
        listener = pod if probe["address"] == "127.0.0.1" else self._listener_at(probe["address"])
        return {"outcome": "answered", "rtt_ms": 0.3, "seen": source, "listener": listener}

    def _listener_at(self, address: str) -> str:
        for cluster in self.world:
            for name, pod in cluster.pods.items():
                if pod["status"]["podIP"] == address:
                    return name
            for service in cluster.services.values():
                if service["spec"]["clusterIP"] == address:
                    return str(service["spec"]["selector"]["pytest-submariner/probe"])
        return "nobody"

    def _note(self, verb: str, resource: str) -> None:
        with self._lock:
            self.requests.append(f"{verb} {resource}")
