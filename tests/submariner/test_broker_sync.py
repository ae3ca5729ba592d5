"""Endpoints and Clusters of a modelled Submariner between two API servers: to the broker, from it, and gone when a cluster left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from control_plane import control_plane, until

from pytest_submariner.lab.kubeapi import KubeApi
from pytest_submariner.lab.spec import LabSpec
from pytest_submariner.lab.submariner import objects
from pytest_submariner.lab.submariner.brokersync import BrokerSync
from pytest_submariner.lab.submariner.topology import cluster_of, endpoint_of

Object = dict[str, Any]
SPEC = LabSpec.make("test", gateways=2)
OPERATOR, BROKER = "submariner-operator", "submariner-k8s-broker"
ROOT = "/apis/submariner.io/v1/namespaces"


class World:
    """Two clusters, the first of them the broker, and how often nodes were told to follow."""

    def __init__(self, apis: dict[str, KubeApi]) -> None:
        self.apis = apis
        self.followed = 0

    async def changed(self) -> None:
        self.followed += 1

    async def enter(self, token: str, authority: str) -> bool:
        return token != "expired"

    async def publish(self, cluster: str, gateway: str) -> None:
        """What a gateway that becomes active writes in its own cluster."""
        spec = SPEC.cluster(cluster)
        for stored in await self.found("endpoints", cluster):
            if stored.startswith(f"{cluster}-"):
                await self.apis[cluster].delete(f"{ROOT}/{OPERATOR}/endpoints/{stored}")
        made = [
            ("endpoints", objects.endpoint(endpoint_of(spec, SPEC.node(gateway), "vxlan"), OPERATOR, synced=False)),
            ("clusters", objects.cluster(cluster_of(spec), OPERATOR, synced=False)),
            ("gateways", {"metadata": {"name": gateway}, "status": {"haStatus": "active"}}),
        ]
        for kind, body in made:
            if kind != "clusters" or cluster not in await self.found(kind, cluster):
                await self.apis[cluster].create(f"{ROOT}/{OPERATOR}/{kind}", body)

    async def found(self, kind: str, cluster: str, namespace: str = OPERATOR) -> list[str]:
        return sorted(o["metadata"]["name"] for o in await self.apis[cluster].list(f"{ROOT}/{namespace}/{kind}"))

    async def everywhere(self, kind: str) -> list[list[str]]:
        """In c1, in c2, at the broker."""
        places = (("c1", OPERATOR), ("c2", OPERATOR), ("c1", BROKER))
        return [await self.found(kind, cluster, namespace) for cluster, namespace in places]

    async def await_everywhere(self, kind: str, *wanted: list[str]) -> None:
        await until(lambda: self.everywhere(kind), lambda found: found == list(wanted))


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World({name: (await stack.enter_async_context(control_plane())).api for name in ("c1", "c2")})
        for cluster, namespace in (("c1", OPERATOR), ("c1", BROKER), ("c2", OPERATOR)):
            await made.apis[cluster].create("/api/v1/namespaces", objects.namespace(namespace))
        sync = asyncio.create_task(BrokerSync(made.apis, "c1", made.enter, made.changed).run())
        try:
            yield made
        finally:
            sync.cancel()
            with suppress(asyncio.CancelledError):
                await sync


def name_of(cluster: str, gateway: str) -> str:
    return endpoint_of(SPEC.cluster(cluster), SPEC.node(gateway), "vxlan").name


@pytest.mark.asyncio
async def test_what_a_gateway_publishes_is_everywhere_and_labelled_elsewhere() -> None:
    async with world() as w:
        await w.publish("c1", "c1-gw1")
        await w.publish("c2", "c2-gw1")
        both = [name_of("c1", "c1-gw1"), name_of("c2", "c2-gw1")]
        await w.await_everywhere("endpoints", both, both, both)
        await w.await_everywhere("clusters", ["c1", "c2"], ["c1", "c2"], ["c1", "c2"])
        for cluster, namespace, name, origin in (
            ("c1", OPERATOR, both[0], None),
            ("c1", OPERATOR, both[1], "c2"),
            ("c1", BROKER, both[0], "c1"),
            ("c2", OPERATOR, both[0], "c1"),
        ):
            stored = await w.apis[cluster].get(f"{ROOT}/{namespace}/endpoints/{name}")
            assert stored is not None
            assert (stored["metadata"].get("labels") or {}).get("submariner-io/clusterID") == origin
            assert stored["spec"]["cluster_id"] == name[:2]


@pytest.mark.asyncio
async def test_an_endpoint_that_moves_is_replaced_everywhere_and_nodes_follow() -> None:
    async with world() as w:
        await w.publish("c1", "c1-gw1")
        await w.publish("c2", "c2-gw1")
        first = [name_of("c1", "c1-gw1"), name_of("c2", "c2-gw1")]
        await w.await_everywhere("endpoints", first, first, first)
        followed = w.followed
        await w.publish("c1", "c1-gw2")
        second = [name_of("c1", "c1-gw2"), name_of("c2", "c2-gw1")]
        await w.await_everywhere("endpoints", second, second, second)
        assert w.followed > followed


@pytest.mark.asyncio
async def test_a_cluster_without_gateways_leaves_with_its_objects_at_the_broker() -> None:
    async with world() as w:
        await w.publish("c1", "c1-gw1")
        await w.publish("c2", "c2-gw1")
        one, two = name_of("c1", "c1-gw1"), name_of("c2", "c2-gw1")
        await w.await_everywhere("endpoints", [one, two], [one, two], [one, two])
        await w.apis["c1"].delete(f"{ROOT}/{BROKER}/endpoints/{two}")
        await asyncio.sleep(0.05)
        await w.await_everywhere(
            "endpoints", [one, two], [one, two], [one, two]
        )  # its gateway is there, and pushes again
        await w.apis["c2"].delete(f"{ROOT}/{OPERATOR}/gateways/c2-gw1")
        await until(lambda: w.found("gateways", "c2"), lambda found: not found)
        await asyncio.sleep(0.05)
        for kind, name in (("endpoints", two), ("clusters", "c2")):
            await w.apis["c1"].delete(f"{ROOT}/{BROKER}/{kind}/{name}")
        await w.await_everywhere("endpoints", [one], [one, two], [one])
        await w.await_everywhere("clusters", ["c1"], ["c1", "c2"], ["c1"])


@pytest.mark.asyncio
async def test_a_refreshed_gateway_is_no_change() -> None:
    async with world() as w:
        await w.publish("c1", "c1-gw1")
        one = name_of("c1", "c1-gw1")
        await w.await_everywhere("endpoints", [one], [], [one])
        await asyncio.sleep(0.1)
        followed = w.followed
        stamp = {"metadata": {"annotations": {"update-timestamp": "1"}}}
        await w.apis["c1"].patch(f"{ROOT}/{OPERATOR}/gateways/c1-gw1", stamp)
        await asyncio.sleep(0.1)
        assert w.followed == followed


@pytest.mark.asyncio
async def test_a_cluster_the_broker_refuses_neither_gives_nor_takes_until_it_is_let_in_again() -> None:
    resource = f"/apis/submariner.io/v1alpha1/namespaces/{OPERATOR}/submariners"
    spec = {"brokerK8sApiServerToken": "expired"}
    async with world() as made:
        await made.apis["c2"].create(resource, {"metadata": {"name": "submariner"}, "spec": spec})
        await made.publish("c1", "c1-gw1")
        await until(lambda: made.found("endpoints", "c1", BROKER), lambda found: found == [name_of("c1", "c1-gw1")])
        await made.publish("c2", "c2-gw1")
        await made.publish("c1", "c1-gw2")
        await until(lambda: made.found("endpoints", "c1", BROKER), lambda found: found == [name_of("c1", "c1-gw2")])
        assert await made.found("endpoints", "c2") == [name_of("c2", "c2-gw1")]
        await made.apis["c2"].patch(f"{resource}/submariner", {"spec": {"brokerK8sApiServerToken": "renewed"}})
        both = [name_of("c1", "c1-gw2"), name_of("c2", "c2-gw1")]
        await made.await_everywhere("endpoints", both, both, both)


@pytest.mark.asyncio
async def test_what_another_cluster_of_the_same_id_has_put_on_the_broker_stays() -> None:
    async with world() as made:
        await made.publish("c1", "c1-gw1")
        await made.publish("c2", "c2-gw1")
        both = [name_of("c1", "c1-gw1"), name_of("c2", "c2-gw1")]
        await made.await_everywhere("endpoints", both, both, both)
        namesake = objects.endpoint(endpoint_of(SPEC.cluster("c1"), SPEC.node("c1-gw2"), "vxlan"), BROKER, synced=True)
        await made.apis["c1"].create(f"{ROOT}/{BROKER}/endpoints", namesake)
        three = sorted([*both, name_of("c1", "c1-gw2")])
        await made.await_everywhere("endpoints", both, three, three)
