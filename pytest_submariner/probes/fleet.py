"""The probe pods of a run, in all clusters: made when first needed, kept for the whole run, removed at its end."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pytest_submariner.errors import SubmarinerError, TransportError
from pytest_submariner.kube.errors import ApiError, PodNotReady
from pytest_submariner.probes import pods
from pytest_submariner.probes.leftovers import remove_expired
from pytest_submariner.probes.pods import Place

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient

logger = logging.getLogger("submariner.probes")

START_S = 120.0
"""How long pods may take to run: an image may have to be pulled."""
ACCOUNT_S = 10.0
"""How long a new namespace may be without its default service account, which the API server demands for pods."""
SETTLE_S = 10.0
"""How long after its creation a listener may refuse: it starts, and kube-proxy has to learn of its Service."""
FEW, MANY = 4, 16
"""Requests at once: each may need a connection, whose handshake costs both ends more than making a pod."""


class Fleet:
    """`ensure` makes pods and Services; what could not be made is remembered as the error of its place, never raised for the rest."""

    def __init__(self, kube: Callable[[str], KubeClient], run_id: str, image: str) -> None:
        self.run_id = run_id
        self.namespace = pods.namespace_name(run_id)
        self.port = pods.listener_port(run_id)
        self._kube = kube
        self._image = image
        self._pods: dict[Place, dict[str, Any]] = {}
        self._services: dict[Place, str] = {}
        self._errors: dict[Place, str] = {}
        self._namespaces: dict[str, bool] = {}
        self._making: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._newest = float("-inf")

    @property
    def settling_s(self) -> float:
        """For how many seconds more a refusal may mean that the newest pod or Service is still coming up."""
        return max(0.0, self._newest + SETTLE_S - time.monotonic())

    def ensure(self, places: Collection[Place], services: Collection[Place]) -> None:
        """Have a running pod at each of `places`, and a Service for each of `services`, which does not make its pod. Clusters are worked on
        side by side; so may be several calls for different places."""
        wanted: dict[str, tuple[set[Place], set[Place]]] = defaultdict(lambda: (set(), set()))
        for place in set(places) - self._pods.keys():
            wanted[place.cluster][0].add(place)
        for place in set(services) - self._services.keys():
            wanted[place.cluster][1].add(place)
        if wanted:
            with ThreadPoolExecutor(len(wanted), thread_name_prefix="fleet") as pool:
                list(pool.map(lambda item: self._ensure_in(item[0], *item[1]), wanted.items()))
            self._newest = time.monotonic()

    def address(self, place: Place) -> str:
        """The pod's IP; for a host-network pod that of its node. TransportError says why there is none."""
        return str(self._pod(place)["status"]["podIP"])

    def service_address(self, place: Place) -> str:
        self._pod(place)
        if place not in self._services:
            raise TransportError(self._errors.get(place, f"no Service was made for {place}"))
        return self._services[place]

    def health(self, place: Place) -> str:
        """Empty while the pod runs; else what became of it, in one line."""
        from pytest_submariner.kube.waiting import is_running

        try:
            pod = self._kube(place.cluster).get("pods", place.pod, namespace=self.namespace)
        except SubmarinerError as error:
            return str(error)
        if pod is None:
            return f"{place} is gone"
        return "" if is_running(pod) else f"{place} died: {_ending(pod)}"

    def close(self) -> None:
        """Remove every namespace this run made, and with it all that is in it. The API server has promised to when this
        returns; its controllers take their time, and nobody waits for them."""
        made = [cluster for cluster, is_made in self._namespaces.items() if is_made]
        if not made:
            return
        with ThreadPoolExecutor(len(made), thread_name_prefix="fleet") as pool:
            list(pool.map(self._remove, made))
        self._namespaces.clear()
        self._pods.clear()
        self._services.clear()
        self._errors.clear()

    def _pod(self, place: Place) -> dict[str, Any]:
        if place not in self._pods:
            raise TransportError(self._errors.get(place, f"{place} was not made"))
        return self._pods[place]

    def _ensure_in(self, cluster: str, new: set[Place], services: set[Place]) -> None:
        try:
            kube = self._kube(cluster)
            self._ensure_namespace(cluster, kube)
        except SubmarinerError as error:
            self._fail(new | services, error)
            return
        made: list[Place] = []

        def make(item: tuple[Place, bool]) -> None:
            place, is_service = item
            try:
                if is_service:
                    self._services[place] = self._create_service(kube, place)
                else:
                    self._create_pod(kube, place)
                    made.append(place)
            except SubmarinerError as error:
                self._fail([place], error)

        wanted = [(place, True) for place in sorted(services)] + [(place, False) for place in sorted(new)]
        with ThreadPoolExecutor(_threads(len(wanted)), thread_name_prefix=f"fleet-{cluster}") as pool:
            list(pool.map(make, wanted))
        self._await(kube, made)

    def _ensure_namespace(self, cluster: str, kube: KubeClient) -> None:
        with self._lock:
            making = self._making[cluster]
        with making:
            if self._namespaces.get(cluster):
                return
            for name in remove_expired(kube, time.time()):
                logger.info("%s: removed %s, left behind by an earlier run", cluster, name)
            try:
                kube.create("namespaces", pods.namespace(self.run_id, time.time()))
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
            self._namespaces[cluster] = True

    def _create_pod(self, kube: KubeClient, place: Place) -> None:
        end = time.monotonic() + ACCOUNT_S
        while True:
            try:
                kube.create("pods", pods.pod(place, self.run_id, self._image), namespace=self.namespace)
            except ApiError as error:
                if error.reason == "AlreadyExists":
                    return
                if error.status != 403 or "serviceaccount" not in str(error).lower() or time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def _create_service(self, kube: KubeClient, place: Place) -> str:
        try:
            made = kube.create("services", pods.service(place, self.run_id), namespace=self.namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            made = kube.get("services", place.service, namespace=self.namespace) or {}
        address = made.get("spec", {}).get("clusterIP")
        if not address:
            raise TransportError(f"Service {place.service} has no clusterIP")
        return str(address)

    def _await(self, kube: KubeClient, made: list[Place]) -> None:
        """All at once; only when that fails, each on its own, so that a bad node does not take the others with it."""
        if not made:
            return
        end = time.monotonic() + START_S
        by_name = {place.pod: place for place in made}
        try:
            running = kube.wait_running(self.namespace, by_name, START_S)
        except PodNotReady:
            running = {}
        except SubmarinerError as error:
            self._fail(made, error)
            return

        def wait(place: Place) -> None:
            try:
                running.update(kube.wait_running(self.namespace, [place.pod], max(1.0, end - time.monotonic())))
            except SubmarinerError as error:
                self._fail([place], error)

        late = [place for name, place in by_name.items() if name not in running]
        if late:
            with ThreadPoolExecutor(_threads(len(late)), thread_name_prefix="fleet-late") as pool:
                list(pool.map(wait, late))
        with self._lock:
            self._pods.update({by_name[name]: pod for name, pod in running.items()})

    def _fail(self, places: Iterable[Place], error: SubmarinerError) -> None:
        with self._lock:
            for place in places:
                self._errors[place] = str(error)

    def _remove(self, cluster: str) -> None:
        try:
            self._kube(cluster).delete("namespaces", self.namespace)
        except SubmarinerError as error:
            logger.warning("%s: namespace %s stays behind until it expires: %s", cluster, self.namespace, error)


def _threads(requests: int) -> int:
    return min(MANY, max(FEW, requests // FEW))


def _ending(pod: dict[str, Any]) -> str:
    """Phase, exit status and last words of a pod that does not run."""
    status = pod.get("status", {})
    parts = [str(status.get("phase", "unknown phase"))]
    parts += [str(status[key]) for key in ("reason", "message") if status.get(key)]
    for container in status.get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated")
        if ended:
            parts.append(f"exit status {ended.get('exitCode')}")
            parts += [str(ended[key]).strip() for key in ("reason", "message") if ended.get(key)]
    return ", ".join(parts)
