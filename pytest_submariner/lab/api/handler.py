"""One request to one answer: who asks, what for, which verb."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from pytest_submariner.lab.api import lists, pods, status, subresources
from pytest_submariner.lab.api.answers import answer, object_answer
from pytest_submariner.lab.api.auth import review, user_of
from pytest_submariner.lab.api.bodies import TRUE, body_of
from pytest_submariner.lab.api.documents import Documents
from pytest_submariner.lab.api.lists import ListOptions
from pytest_submariner.lab.api.negotiation import accepted_shape
from pytest_submariner.lab.api.paths import Target, resolve
from pytest_submariner.lab.api.resources import Resources
from pytest_submariner.lab.api.typed import fit_as
from pytest_submariner.lab.api.watch import Watch
from pytest_submariner.lab.api.writes import Writes


@dataclass
class Handler:
    """Answers every request of one server."""

    resources: Resources
    tokens: dict[str, str]
    pods: pods.PodSubresources
    documents: Documents
    writes: Writes
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        """Ends all watches."""
        self.closing.set()
        for collection in self.resources.store:
            collection.wake()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """StatusError and PageNotFound are the caller's to turn into an answer."""
        user = user_of(self.tokens, request.headers, request.path)
        document = self.documents.find(request)
        if document is not None:
            return document
        target = resolve(self.resources.kinds, request.path)
        if not target.kind.stored:
            return await self._ask(request, target, user)
        if target.subresource in {"exec", "log"}:
            return await self._pod_stream(request, target)
        accepted_shape(request.headers.get("Accept", ""))  # refuses before anything is written
        writes = self.writes
        match request.method, bool(target.name):
            case "GET" | "HEAD", _ if self._is_watch(request, target):
                return await self._watch(request, target)
            case "GET" | "HEAD", True:
                return self._get(request, target)
            case "GET" | "HEAD", False:
                return self._list(request, target)
            case "POST", False:
                return await writes.create(request, target)
            case "POST", True if target.subresource:
                return await writes.post_subresource(request, target)
            case "PUT", True:
                return await writes.replace(request, target)
            case "PATCH", True:
                return await writes.patch(request, target)
            case "DELETE", True if not target.subresource:
                return await writes.delete(request, target)
            case "DELETE", False if "deletecollection" in target.kind.verbs:
                return await writes.delete_collection(request, target)
        raise status.method_not_allowed()

    @staticmethod
    def _is_watch(request: web.Request, target: Target) -> bool:
        """Of one object only by the old `/watch/` path: a genuine server does not look at `watch` when there is a name."""
        return not target.subresource and (target.watch or (not target.name and request.query.get("watch") in TRUE))

    def _get(self, request: web.Request, target: Target) -> web.Response:
        if target.subresource not in {"", "status", "scale"}:
            raise status.method_not_allowed()
        stored = self.resources.get(target.kind, target.namespace or "", target.name)
        if target.subresource == "scale":
            return answer(subresources.scale_of(stored))
        return object_answer(request, target.kind, stored)

    def _list(self, request: web.Request, target: Target) -> web.Response:
        shape = accepted_shape(request.headers.get("Accept", ""))
        options = ListOptions.of(target.kind, request.query)
        version = self.resources.store.version
        lists.check_version(options, version)
        found, left = lists.page(self.resources.select(target.kind, target.namespace, options.match), options)
        return answer(lists.render(target.kind, found, left, options, version, shape))

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Of a collection, or of one object by its name."""
        shape = accepted_shape(request.headers.get("Accept", ""))
        options = ListOptions.of(target.kind, request.query, target.name or None)
        watch = Watch.of(self.resources, target, request.query, options, shape)
        return await watch.serve(request, self.closing)

    async def _pod_stream(self, request: web.Request, target: Target) -> web.StreamResponse:
        """The kubelet's part begins where the pod and the container are known."""
        is_log = target.subresource == "log"
        if request.method not in (("GET",) if is_log else ("GET", "POST")):
            raise status.method_not_allowed()
        pod = self.resources.get(target.kind, target.namespace or "", target.name).data
        container = pods.container_of(pod, request.query.get("container", ""), verb=target.subresource)
        if is_log:
            has_node = bool(pod["spec"].get("nodeName"))
            return await self.pods.logs(request, pod, container) if has_node else web.Response(text="")
        pods.check_host(pod)
        if not pods.is_upgrade(request.headers):
            raise status.bad_request("Upgrade request required")
        return await self.pods.exec(request, pod, container)

    async def _ask(self, request: web.Request, target: Target, user: str) -> web.StreamResponse:
        """Kinds that are not stored: reviews, and the old way to post a binding."""
        if request.method != "POST" or target.name:
            raise status.method_not_allowed()
        body = await body_of(request)
        if target.kind.kind != "Binding":
            return answer(review(target.kind, body, user), 201)
        if target.namespace is None:
            raise status.method_not_allowed()
        body = fit_as("v1", "Binding", body)
        name = (body.get("metadata") or {}).get("name", "")
        pod_kind = self.resources.kinds.require("", "v1", "pods")
        return answer(subresources.bind(self.resources, pod_kind, target.namespace, name, body), 201)
