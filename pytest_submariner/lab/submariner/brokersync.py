"""What gateways do with the broker, for a modelled Submariner: a cluster's own Endpoint and Cluster go to the broker, the others'
come from it (submariner:pkg/controllers/datastoresyncer/datastoresyncer.go, admiral:pkg/syncer/broker)."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.errors import LabError
from pytest_submariner.lab.apierrors import ApiError
from pytest_submariner.lab.submariner.brokeraccess import BrokerAccess, Entry
from pytest_submariner.lab.submariner.creation import path
from pytest_submariner.lab.submariner.objects import GROUP_V1, GROUP_V1ALPHA1

if TYPE_CHECKING:
    from pytest_submariner.lab.informer import Event, Informer
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]
Objects = dict[str, Object]
KINDS: Final = ("endpoints", "clusters")
_RETRY_S: Final = 1.0
log = logging.getLogger(__name__)


class BrokerSync:
    """`run()` for ever. A cluster takes part while it has a Gateway: without one nobody pushes its objects again when they are
    deleted from the broker, which is how a cluster leaves. Nor does one take part that the broker does not let in.

    From the broker a cluster removes what it has put there itself; another cluster of the same ID may have objects there too."""

    def __init__(
        self, apis: Mapping[str, KubeApi], broker: str, enter: Entry, changed: Callable[[], Awaitable[None]]
    ) -> None:
        """`broker`: the cluster that is it, `enter`: how it answers who knocks. `changed` is awaited after every change of
        Endpoints or Clusters anywhere."""
        self._changed = changed
        self._dirty = asyncio.Event()
        self._local = {name: _Namespace(api, c.OPERATOR_NAMESPACE, self._dirty) for name, api in apis.items()}
        self._gateways = {
            name: _follow(api, path(GROUP_V1, "gateways", c.OPERATOR_NAMESPACE), self._dirty)
            for name, api in apis.items()
        }
        self._access = {
            name: BrokerAccess(
                _follow(api, path(GROUP_V1ALPHA1, "submariners", c.OPERATOR_NAMESPACE), self._dirty), enter
            )
            for name, api in apis.items()
        }
        self._broker = _Namespace(apis[broker], c.BROKER_NAMESPACE, self._dirty)
        self._pushed: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        """(kind, cluster) -> names on the broker that are its."""

    async def run(self) -> None:
        """Follows changes until cancelled; a refusal is logged and tried again."""
        informers = [*self._gateways.values(), *self._broker.informers.values()]
        informers += [access.resources for access in self._access.values()]
        informers += [informer for local in self._local.values() for informer in local.informers.values()]
        for informer in informers:
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in informers))
        while True:
            self._dirty.clear()
            try:
                await self._sync()
                await self._changed()
            except LabError as error:
                log.warning("broker sync: %s", error)
                await asyncio.sleep(_RETRY_S)
            else:
                await self._dirty.wait()

    async def _sync(self) -> None:
        """To the broker first, then from it."""
        present = [name for name in self._local if self._gateways[name].cache and await self._access[name].is_granted()]
        for kind in KINDS:
            for name in present:
                own = {key: labelled(item, name) for key, item in self._local[name].of(kind, None).items()}
                pushed = self._pushed[kind, name]
                pushed.update(own)
                stored = {key: item for key, item in self._broker.of(kind, name).items() if key in pushed}
                await self._broker.become(kind, own, stored)
                pushed.intersection_update(own)
            for name in present:
                others = {key: item for key, item in self._broker.of(kind).items() if origin(item) not in (None, name)}
                local = self._local[name]
                stored = {key: item for key, item in local.of(kind).items() if origin(item) not in (None, name)}
                await local.become(kind, others, stored)


class _Namespace:
    """Endpoints and Clusters of one namespace, followed and written."""

    def __init__(self, api: KubeApi, namespace: str, dirty: asyncio.Event) -> None:
        self._api = api
        self._name = namespace
        self.informers = {kind: _follow(api, path(GROUP_V1, kind, namespace), dirty) for kind in KINDS}

    def of(self, kind: str, *origins: str | None) -> Objects:
        """By name: all, or those from `origins` (None: made here)."""
        cache = self.informers[kind].cache.items()
        return {name: item for (_, name), item in cache if not origins or origin(item) in origins}

    async def become(self, kind: str, wanted: Mapping[str, Object], stored: Mapping[str, Object]) -> None:
        """Makes `stored` what `wanted` is. The old ones go first, as a gateway that takes over removes them first."""
        collection = path(GROUP_V1, kind, self._name)
        for name in stored.keys() - wanted.keys():
            await self._api.delete(f"{collection}/{name}")
        for name, item in wanted.items():
            if name not in stored:
                await self._create(kind, collection, item)
            elif stored[name]["spec"] != item["spec"]:
                changed = {**stored[name], "spec": item["spec"]}
                self.informers[kind].observe(await self._api.replace(f"{collection}/{name}", changed))

    async def _create(self, kind: str, collection: str, item: Object) -> None:
        metadata = item["metadata"]
        body = {
            "apiVersion": GROUP_V1,
            "kind": kind.removesuffix("s").capitalize(),
            "metadata": {"name": metadata["name"], "namespace": self._name, "labels": metadata["labels"]},
            "spec": item["spec"],
        }
        try:
            self.informers[kind].observe(await self._api.create(collection, body))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise


def origin(item: Object) -> str | None:
    """The cluster an object was synced from; None for one made here."""
    label: str | None = (item["metadata"].get("labels") or {}).get(c.CLUSTER_ID_LABEL)
    return label


def labelled(item: Object, cluster: str) -> Object:
    """The same, as the broker and other clusters hold it."""
    return {**item, "metadata": {**item["metadata"], "labels": {c.CLUSTER_ID_LABEL: cluster}}}


def _follow(api: KubeApi, collection: str, dirty: asyncio.Event) -> Informer:
    informer = api.informer(collection)

    def mark(event: Event) -> None:
        # A Gateway is refreshed every five seconds; only that it is there matters, and of the others the spec.
        if event.type != "MODIFIED" or event.object.get("spec") != (event.old or {}).get("spec"):
            dirty.set()

    informer.on_event(mark)
    return informer
