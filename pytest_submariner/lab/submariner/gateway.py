"""The gateway pod's process: active while it holds the lease, passive otherwise. It labels its pod, pings, publishes a Gateway,
and the Endpoint and Cluster when it becomes active.

Rules of status and message: submariner:pkg/cableengine/syncer/syncer.go,
submariner:pkg/cableengine/healthchecker/healthchecker.go."""

from __future__ import annotations

import time
from typing import Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.objects import Cluster, Endpoint
from pytest_submariner.errors import LabError
from pytest_submariner.lab.submariner import agent, discovery, objects
from pytest_submariner.lab.submariner.agent import Agent, Settings, log
from pytest_submariner.lab.submariner.election import Election
from pytest_submariner.lab.submariner.objects import GROUP_V1, VERSION
from pytest_submariner.lab.submariner.topology import make_endpoint

Object = dict[str, Any]
PERIOD_S: Final = 5.0
STALE_S: Final = 15
"""A Gateway that was not refreshed for so long is removed by the active one."""


class GatewayProcess(Agent):
    component = "submariner-gateway"
    period_s = PERIOD_S

    def __init__(self, settings: Settings) -> None:
        """LabError when the node has no CNI address: as upstream, a gateway with health check does not start then."""
        super().__init__(settings, ping_interval_s=settings.interval_s)
        health_check_ip = discovery.cni_ip(settings.pod_cidrs)
        if health_check_ip is None and settings.health_check:
            raise LabError(f"no interface has an address inside {', '.join(settings.pod_cidrs)}")
        self.local = make_endpoint(
            cluster_id=settings.cluster_id,
            hostname=settings.hostname,
            private_ip=discovery.private_ip(),
            health_check_ip=health_check_ip or "",
            subnets=(*settings.service_cidrs, *settings.pod_cidrs),
            backend=settings.cable_driver,
        )
        self.leads = False
        self._labelled = ""
        self._election = Election(settings.namespace, settings.hostname)

    def ping_targets(self) -> tuple[Endpoint, ...]:
        return self.remotes if self.leads else ()

    def refresh(self) -> None:
        """Contends for the lease first; who has it sees to it that its Endpoint is the cluster's only one."""
        self.leads = self._election.contend(self.api)
        if self.leads:
            self._claim()
        super().refresh()

    def publish(self) -> None:
        status = "active" if self.leads else "passive"
        if status != self._labelled:
            self._label(status)
        self.api.put(self.settings.collection("gateways"), self.gateway(status))
        if self.leads:
            self._remove_stale()

    def gateway(self, ha_status: str) -> Object:
        """The Gateway object as of now."""
        return {
            "apiVersion": GROUP_V1,
            "kind": "Gateway",
            "metadata": {
                "name": self.settings.hostname,
                "namespace": self.settings.namespace,
                "annotations": {c.TIMESTAMP_ANNOTATION: str(int(time.time()))},
            },
            "status": {
                "version": VERSION,
                "haStatus": ha_status,
                "statusFailure": "",
                "localEndpoint": self.local.to_spec(),
                "connections": [self._connection(remote) for remote in self.ping_targets()],
            },
        }

    def _connection(self, remote: Endpoint) -> Object:
        """The vxlan driver calls every cable connected; only the pinger can say otherwise."""
        connection: Object = {
            "status": "connected",
            "statusMessage": "",
            "endpoint": remote.to_spec(),
            "usingIP": remote.private_ip,
        }
        health = self.health_of(remote)
        if health is not None:
            connection["latencyRTT"] = health.latency.to_dict()
            if health.status == "error":
                connection["status"] = "error"
                connection["statusMessage"] = agent.PING_FAILED.format(ip=health.ip)
        return connection

    def _label(self, status: str) -> None:
        path = f"/api/v1/namespaces/{self.settings.namespace}/pods/{self.settings.pod_name}"
        labels = {c.STATUS_LABEL: status, c.NODE_LABEL: self.settings.node_name}
        self.api.patch(path, {"metadata": {"labels": labels}})
        self._labelled = status
        log.info("gateway %s is %s", self.settings.hostname, status)

    def _claim(self) -> None:
        """Other local Endpoints go, then the own one comes (submariner:pkg/controllers/datastoresyncer/datastoresyncer.go)."""
        endpoints = self.settings.collection("endpoints")
        local = {
            item["metadata"]["name"]
            for item in self.api.list(endpoints)
            if item["spec"].get("cluster_id") == self.settings.cluster_id
        }
        for name in local - {self.local.name}:
            log.info("Endpoint %s is of a former gateway: removed", name)
            self.api.delete(f"{endpoints}/{name}")
        if self.local.name in local:
            return
        self.api.put(
            self.settings.collection("clusters"),
            objects.cluster(self._cluster(), self.settings.namespace, synced=False),
        )
        self.api.create(endpoints, objects.endpoint(self.local, self.settings.namespace, synced=False))

    def _cluster(self) -> Cluster:
        return Cluster(self.settings.cluster_id, self.settings.pod_cidrs, self.settings.service_cidrs)

    def _remove_stale(self) -> None:
        collection = self.settings.collection("gateways")
        for gateway in self.api.list(collection):
            metadata = gateway["metadata"]
            stamp = (metadata.get("annotations") or {}).get(c.TIMESTAMP_ANNOTATION, "")
            if stamp.isdigit() and time.time() - int(stamp) > STALE_S:
                log.info("gateway %s has not refreshed its Gateway for %s s: removed", metadata["name"], STALE_S)
                self.api.delete(f"{collection}/{metadata['name']}")

    def withdraw(self) -> None:
        """Its own Gateway goes with it."""
        self.api.delete(f"{self.settings.collection('gateways')}/{self.settings.hostname}")


def main() -> int:
    """Exit status of the process."""
    return agent.run(GatewayProcess)
