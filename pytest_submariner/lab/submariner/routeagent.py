"""The route agent pod's process: pings remote gateways from its node and publishes a RouteAgent.

Rules of status and message: submariner:pkg/routeagent_driver/handlers/healthchecker/healthchecker.go.
"""

from __future__ import annotations

from typing import Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.lab.submariner import agent
from pytest_submariner.lab.submariner.agent import Agent, Settings
from pytest_submariner.lab.submariner.objects import GROUP_V1, VERSION

Object = dict[str, Any]
PERIOD_S: Final = 60.0
INTERVAL_FACTOR: Final = 60
"""Route agents ping sixty times less often than gateways."""


class RouteAgentProcess(Agent):
    component = "submariner-routeagent"
    period_s = PERIOD_S

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, ping_interval_s=settings.interval_s * INTERVAL_FACTOR)

    def ping_targets(self) -> tuple[Endpoint, ...]:
        return () if self.is_active_gateway else self.remotes

    def publish(self) -> None:
        self.api.put(self.settings.collection("routeagents"), self.route_agent())

    def route_agent(self) -> Object:
        """The RouteAgent object as of now."""
        return {
            "apiVersion": GROUP_V1,
            "kind": "RouteAgent",
            "metadata": {"name": self.settings.node_name, "namespace": self.settings.namespace},
            "status": {
                "version": VERSION,
                "statusFailure": "",
                "remoteEndpoints": [self._remote(remote) for remote in self.remotes],
            },
        }

    def _remote(self, remote: Endpoint) -> Object:
        entry: Object = {"spec": remote.to_spec(), "status": "none", "statusMessage": ""}
        health = self.health_of(remote)
        if self.is_active_gateway:
            entry["statusMessage"] = c.GATEWAY_NODE_MESSAGE
        elif not self.settings.health_check:
            entry["statusMessage"] = c.HEALTH_CHECK_OFF_MESSAGE
        elif health is None:
            entry["statusMessage"] = c.NO_HEALTH_CHECK_IP_MESSAGE
        else:
            entry["status"] = health.status
            entry["latencyRTT"] = health.latency.to_dict()
            if health.status == "error":
                entry["statusMessage"] = agent.PING_FAILED.format(ip=health.ip)
        return entry

    def withdraw(self) -> None:
        """A RouteAgent is gone when its agent is."""
        self.api.delete(f"{self.settings.collection('routeagents')}/{self.settings.node_name}")


def main() -> int:
    """Exit status of the process."""
    return agent.run(RouteAgentProcess)
