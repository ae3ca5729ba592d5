"""What the gateway and route agent processes have in common: environment, view of the Endpoints, a loop that pings
and publishes."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.errors import LabError, TopologyError
from pytest_submariner.lab.submariner.client import ApiClient, ApiFailure
from pytest_submariner.lab.submariner.objects import GROUP_V1, VERSION
from pytest_submariner.lab.submariner.pinger import Health, Pinger

Object = dict[str, Any]
log = logging.getLogger("submariner")
PING_FAILED: Final = 'Failed to successfully ping the remote endpoint IP "{ip}"'
"""submariner:pkg/pinger/pinger.go"""
RETRY_S: Final = 0.5
"""Pause before the API is asked again after it refused or was not there."""
_FIRST_ANSWER_S: Final = 1.0
"""How long a first report waits for a first reply."""


class Stop(BaseException):
    """SIGTERM came."""


@dataclass(frozen=True)
class Settings:
    """Upstream's environment variables, and the three that say where the API is."""

    node_name: str
    pod_name: str
    namespace: str
    cluster_id: str
    pod_cidrs: tuple[str, ...]
    service_cidrs: tuple[str, ...]
    cable_driver: str
    health_check: bool
    interval_s: float
    max_loss: int
    hostname: str
    api_url: str
    api_token: str = field(repr=False)
    api_ca: str = field(repr=False)

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """KeyError names a variable that is missing; ValueError one that is not a number."""
        return cls(
            node_name=env["NODE_NAME"],
            pod_name=env["POD_NAME"],
            namespace=env["SUBMARINER_NAMESPACE"],
            cluster_id=env["SUBMARINER_CLUSTERID"],
            pod_cidrs=_list(env["SUBMARINER_CLUSTERCIDR"]),
            service_cidrs=_list(env["SUBMARINER_SERVICECIDR"]),
            cable_driver=env.get("SUBMARINER_CABLEDRIVER", "vxlan"),
            health_check=env.get("SUBMARINER_HEALTHCHECKENABLED", "true") == "true",
            interval_s=float(env.get("SUBMARINER_HEALTHCHECKINTERVAL", "1")),
            max_loss=int(env.get("SUBMARINER_HEALTHCHECKMAXPACKETLOSSCOUNT", "5")),
            hostname=socket.gethostname(),
            api_url=env["LAB_API_URL"],
            api_token=env["LAB_API_TOKEN"],
            api_ca=env["LAB_API_CA"],
        )

    def collection(self, resource: str) -> str:
        """Path of a `submariner.io/v1` resource in the operator's namespace."""
        return f"/apis/{GROUP_V1}/namespaces/{self.namespace}/{resource}"


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


class Agent(ABC):
    """Asks for the Endpoints, pings the remote ones, publishes; again every `period_s` seconds, and at once after a
    first reply.

    Subclasses say what to publish. An API that is away is asked again; no failure of it ends the process.
    """

    component: str
    """What subctl calls it."""
    period_s: float

    def __init__(self, settings: Settings, *, ping_interval_s: float) -> None:
        self.settings = settings
        self.api = ApiClient(settings.api_url, settings.api_token, settings.api_ca)
        self.pinger = Pinger(ping_interval_s, settings.max_loss) if settings.health_check else None
        self.endpoints: tuple[Endpoint, ...] = ()

    @property
    def remotes(self) -> tuple[Endpoint, ...]:
        """Endpoints of other clusters, by cluster ID."""
        others = (e for e in self.endpoints if e.cluster_id != self.settings.cluster_id)
        return tuple(sorted(others, key=lambda e: (e.cluster_id, e.cable_name)))

    @property
    def is_active_gateway(self) -> bool:
        """The role every agent derives for its node: the local Endpoint names this host."""
        local = (e for e in self.endpoints if e.cluster_id == self.settings.cluster_id)
        return any(e.hostname == self.settings.hostname for e in local)

    @abstractmethod
    def publish(self) -> None:
        """Writes what this process has found out."""

    @abstractmethod
    def withdraw(self) -> None:
        """Takes back what it published; called once, on SIGTERM."""

    def ping_targets(self) -> tuple[Endpoint, ...]:
        """Whom to ping in the present role."""
        return self.remotes

    def refresh(self) -> None:
        """Reads the Endpoints; an object that makes no sense is logged and left out."""
        found = []
        for source in self.api.list(self.settings.collection("endpoints")):
            try:
                found.append(Endpoint.from_object(source))
            except TopologyError as error:
                log.warning("%s", error)
        self.endpoints = tuple(found)
        if self.pinger is not None:
            self.pinger.watch(e.health_check_ip for e in self.ping_targets() if e.health_check_ip)

    def health_of(self, endpoint: Endpoint) -> Health | None:
        """None without a health check or without an address to ping."""
        return None if self.pinger is None else self.pinger.targets.get(endpoint.health_check_ip)

    def run(self) -> None:
        """Until Stop."""
        while True:
            started = time.monotonic()
            if not self._attempt(self.refresh):
                self._wait(started + RETRY_S)
                continue
            # What has never been asked is asked before it is reported, but only briefly.
            self._wait(started + _FIRST_ANSWER_S if self._is_unanswered() else started)
            published = self._attempt(self.publish)
            until = started + (self.period_s if published else RETRY_S)
            while self._wait(until):
                self._attempt(self.publish)

    def _is_unanswered(self) -> bool:
        return self.pinger is not None and any(not h.status for h in self.pinger.targets.values())

    def _wait(self, until: float) -> bool:
        """Pings until then; True at once when a remote gateway has answered for the first time."""
        if self.pinger is not None:
            return self.pinger.run(until)
        time.sleep(max(0.0, until - time.monotonic()))
        return False

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except ApiFailure as failure:
            log.warning("%s", failure)
            return False
        return True


def run(make: Callable[[Settings], Agent]) -> int:
    """The main function of either process: 0 after SIGTERM, 1 when its environment is incomplete."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        agent = make(Settings.from_environment())
    except (KeyError, ValueError, OSError, LabError) as error:
        log.error("cannot start: %s", error)
        return 1
    try:
        # As upstream's binaries say it in their logs, where subctl looks for it (submariner:pkg/versions/version.go).
        sys.stdout.write(f"{agent.component} version: {VERSION}\n")
        sys.stdout.flush()
        agent.run()
    except Stop:
        try:
            agent.api.close()
            agent.withdraw()
        except ApiFailure as failure:
            log.warning("%s", failure)
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop
