"""One request to one answer: who asks, what for, which verb, which shape."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from pytest_submariner.lab.api import lists, patch, pods, status, subresources
from pytest_submariner.lab.api.apply import applied
from pytest_submariner.lab.api.auth import review, user_of
from pytest_submariner.lab.api.documents import Documents
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.lists import ListOptions
from pytest_submariner.lab.api.negotiation import Shape, accepted_shape, media_type, parse, parse_object
from pytest_submariner.lab.api.paths import Target, not_served, resolve
from pytest_submariner.lab.api.resources import Resources
from pytest_submariner.lab.api.schema import kind_type
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import Stored, encode
from pytest_submariner.lab.api.table import partial, table
from pytest_submariner.lab.api.typed import fit, strict_error
from pytest_submariner.lab.api.watch import Watch

_TRUE = {"true", "1"}


@dataclass
class Handler:
    """Answers every request of one server."""

    resources: Resources
    tokens: dict[str, str]
    pods: pods.PodSubresources
    documents: Documents
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        """Ends all watches."""
        self.closing.set()
        for _, collection in self.resources.store:
            collection.wake()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """StatusError and PageNotFound are the caller's to turn into an answer."""
        path = request.path
        user = user_of(self.tokens, request.headers, path)
        document = self.documents.find(request)
        if document is not None:
            return document
        target = resolve(self.resources.kinds, path)
        kind = target.kind
        if not kind.stored:
            return await self._ask(request, target, user)
        if target.subresource in {"exec", "log"}:
            return await self._pod_stream(request, target)
        match request.method, bool(target.name):
            case "GET" | "HEAD", True:
                return await self._get(request, target)
            case "GET" | "HEAD", False:
                return await self._list(request, target)
            case "POST", False:
                return await self._create(request, target)
            case "POST", True if target.subresource:
                return await self._post_subresource(request, target, user)
            case "PUT", True:
                return await self._put(request, target)
            case "PATCH", True:
                return await self._patch(request, target)
            case "DELETE", True if not target.subresource:
                return await self._delete(request, target)
            case "DELETE", False if "deletecollection" in kind.verbs:
                return await self._delete_collection(request, target)
        raise status.method_not_allowed()

    # -- reading --------------------------------------------------------------------------------------------------------------

    async def _get(self, request: web.Request, target: Target) -> web.StreamResponse:
        shape = accepted_shape(request.headers.get("Accept", ""))
        if target.watch or request.query.get("watch") in _TRUE:
            return await self._watch(request, target, shape)
        if target.subresource not in {"", "status", "scale"}:
            raise status.method_not_allowed()
        stored = self.resources.get(target.kind, target.namespace or "", target.name)
        if target.subresource == "scale":
            return answer(encode(subresources.scale_of(stored)).encode())
        return self._object(target.kind, stored, shape, request)

    async def _list(self, request: web.Request, target: Target) -> web.StreamResponse:
        shape = accepted_shape(request.headers.get("Accept", ""))
        if target.watch or request.query.get("watch") in _TRUE:
            return await self._watch(request, target, shape)
        options = ListOptions.of(target.kind, request.query)
        version = self.resources.store.version
        lists.check_version(options, version)
        found, left = lists.page(self.resources.select(target.kind, target.namespace, options.match), options)
        return answer(lists.render(target.kind, found, left, options, version, shape))

    async def _watch(self, request: web.Request, target: Target, shape: Shape) -> web.StreamResponse:
        options = ListOptions.of(target.kind, request.query, target.name or None)
        watch = Watch.of(self.resources, target.kind, target.namespace, request, options, shape)
        return await watch.serve(request, self.closing)

    async def _pod_stream(self, request: web.Request, target: Target) -> web.StreamResponse:
        pod = self.resources.get(target.kind, target.namespace or "", target.name).data
        asked = request.query.get("container", "")
        if target.subresource == "log":
            if request.method != "GET":
                raise status.method_not_allowed()
            container = pods.container_of(pod, asked, verb="log")
            if not pod["spec"].get("nodeName"):
                return web.Response(text="")
            return await self.pods.logs(request, pod, container)
        if request.method not in {"GET", "POST"}:
            raise status.method_not_allowed()
        container = pods.container_of(pod, asked, verb="exec")
        pods.check_host(pod)
        if not pods.is_upgrade(request.headers):
            raise status.bad_request("Upgrade request required")
        return await self.pods.exec(request, pod, container)

    # -- writing --------------------------------------------------------------------------------------------------------------

    async def _create(self, request: web.Request, target: Target) -> web.StreamResponse:
        kind, namespace = target.kind, target.namespace or ""
        if kind.namespaced and target.namespace is None:
            raise status.method_not_allowed()
        shape = accepted_shape(request.headers.get("Accept", ""))
        body, warnings = self._fitted(kind, await self._body(request), request)
        if (given := body["metadata"].get("namespace", namespace)) != namespace and given:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        stored = self.resources.create(kind, namespace, body, dry_run=_dry_run(request))
        return self._object(kind, stored, shape, request, code=201, warnings=warnings)

    async def _put(self, request: web.Request, target: Target) -> web.StreamResponse:
        kind, namespace = target.kind, target.namespace or ""
        shape = accepted_shape(request.headers.get("Accept", ""))
        if target.subresource == "scale":
            return await self._scale(request, target, await self._body(request))
        if target.subresource not in {"", "status", "finalize"}:
            raise status.method_not_allowed()
        body, warnings = self._fitted(kind, await self._body(request), request)
        if (
            kind.create_on_update
            and not target.subresource
            and not self.resources.collection(kind).get(namespace, target.name)
        ):
            body["metadata"].setdefault("name", target.name)
            stored = self.resources.create(kind, namespace, body, dry_run=_dry_run(request))
            return self._object(kind, stored, shape, request, code=201, warnings=warnings)
        stored = self.resources.update(
            kind, namespace, target.name, lambda _: body, subresource=target.subresource, dry_run=_dry_run(request)
        )
        return self._object(kind, stored, shape, request, warnings=warnings)

    async def _patch(self, request: web.Request, target: Target) -> web.StreamResponse:
        kind, namespace = target.kind, target.namespace or ""
        shape = accepted_shape(request.headers.get("Accept", ""))
        content_type = media_type(request.headers)
        if target.subresource not in {"", "status", "scale"}:
            raise status.method_not_allowed()
        if content_type not in patch.accepted(kind):
            raise status.unsupported_media(patch.accepted(kind))
        document = parse(content_type, await request.read())
        if target.subresource == "scale":
            have = subresources.scale_of(self.resources.get(kind, namespace, target.name))
            return await self._scale(request, target, patch.merge(have, document))
        warnings: list[str] = []
        if content_type == patch.APPLY_PATCH:
            return self._apply(request, target, document, shape)

        def change(current: Object) -> Object:
            body, more = self._fitted(kind, patch.patched(kind, content_type, document, current), request)
            warnings.extend(more)
            return body

        stored = self.resources.update(
            kind, namespace, target.name, change, subresource=target.subresource, dry_run=_dry_run(request)
        )
        return self._object(kind, stored, shape, request, warnings=warnings)

    def _apply(self, request: web.Request, target: Target, document: Any, shape: Shape) -> web.StreamResponse:
        """Server-side apply: creates what is not there."""
        kind, namespace = target.kind, target.namespace or ""
        manager = request.query.get("fieldManager", "")
        if not manager:
            why = "fieldManager: Required value: is required for apply patch"
            raise status.unprocessable(f'PatchOptions.meta.k8s.io "" is invalid: {why}')
        wanted, warnings = self._fitted(kind, document, request)
        wanted["metadata"].setdefault("name", target.name)
        force = request.query.get("force") in _TRUE
        known = kind_type(kind.api_version, kind.kind)
        dry_run = _dry_run(request)
        if not target.subresource and not self.resources.collection(kind).get(namespace, target.name):
            new = applied(kind, known, None, wanted, manager, force=force)
            new["metadata"].pop("uid", None)
            stored = self.resources.create(kind, namespace, new, dry_run=dry_run)
            return self._object(kind, stored, shape, request, code=201, warnings=warnings)
        stored = self.resources.update(
            kind,
            namespace,
            target.name,
            lambda current: applied(kind, known, current, wanted, manager, force=force, subresource=target.subresource),
            subresource=target.subresource,
            dry_run=dry_run,
        )
        return self._object(kind, stored, shape, request, warnings=warnings)

    async def _scale(self, request: web.Request, target: Target, scale: Object) -> web.StreamResponse:
        stored = self.resources.update(
            target.kind,
            target.namespace or "",
            target.name,
            lambda current: subresources.scaled(current, scale),
            dry_run=_dry_run(request),
        )
        return answer(encode(subresources.scale_of(stored)).encode())

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = await self._delete_options(request)
        kind = target.kind
        deleted = self.resources.delete(
            kind, target.namespace or "", target.name, options, dry_run=_dry_run(request, options)
        )
        if kind.returns_deleted or not deleted.gone:
            return self._object(kind, deleted.stored, accepted_shape(request.headers.get("Accept", "")), request)
        return answer(encode(status.success(kind, target.name, deleted.stored.uid)).encode())

    async def _delete_collection(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = await self._delete_options(request)
        chosen = ListOptions.of(target.kind, request.query)
        found, _ = lists.page(self.resources.select(target.kind, target.namespace, chosen.match), chosen)
        deleted = self.resources.delete_collection(target.kind, found, options, dry_run=_dry_run(request, options))
        meta = {"resourceVersion": str(self.resources.store.version)}
        return answer(lists.list_json(target.kind, deleted, meta))

    # -- questions and subresources -------------------------------------------------------------------------------------------

    async def _ask(self, request: web.Request, target: Target, user: str) -> web.StreamResponse:
        """Kinds that are not stored: reviews, and the old way to post a binding."""
        if request.method != "POST" or target.name:
            raise status.method_not_allowed()
        body = await self._body(request)
        if target.kind.kind != "Binding":
            return answer(encode(review(target.kind, body, user)).encode(), 201)
        kind = self.resources.kinds.find("", "v1", "pods")
        if kind is None or target.namespace is None:
            raise not_served()
        name = (body.get("metadata") or {}).get("name", "")
        return answer(encode(subresources.bind(self.resources, kind, target.namespace, name, body)).encode(), 201)

    async def _post_subresource(self, request: web.Request, target: Target, user: str) -> web.StreamResponse:
        kind, namespace = target.kind, target.namespace or ""
        body = await self._body(request)
        if target.subresource == "binding":
            made = subresources.bind(self.resources, kind, namespace, target.name, body)
        elif target.subresource == "eviction":
            made = subresources.evict(self.resources, kind, namespace, target.name, body)
        elif target.subresource == "token":
            account = self.resources.get(kind, namespace, target.name)
            made = subresources.new_token(self.tokens, account, body)
        else:
            raise status.method_not_allowed()
        return answer(encode(made).encode(), 201)

    # -- bodies and answers ---------------------------------------------------------------------------------------------------

    async def _body(self, request: web.Request) -> Object:
        return parse_object(media_type(request.headers), await request.read())

    async def _delete_options(self, request: web.Request) -> Object:
        """The body, or the query where the body says nothing."""
        body = await request.read()
        options = parse_object(media_type(request.headers), body) if body else {}
        if "gracePeriodSeconds" in request.query and options.get("gracePeriodSeconds") is None:
            options["gracePeriodSeconds"] = lists.number(request.query, "gracePeriodSeconds")
        grace = options.get("gracePeriodSeconds")
        if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
            raise status.bad_request(f"gracePeriodSeconds: a whole number of seconds is expected, not {grace!r}")
        return options

    def _fitted(self, kind: Kind, body: Any, request: web.Request) -> tuple[Object, list[str]]:
        """The body in its kind's shape, and a warning per field it does not have."""
        if not isinstance(body, dict):
            raise status.bad_request("the object provided is unrecognized: not an object")
        given, version = body.get("kind") or kind.kind, body.get("apiVersion") or kind.api_version
        if given != kind.kind:
            group = f"{version}.{given}"
            why = f"converting ({group}) to ({kind.group or 'core'}.{kind.kind}): unknown conversion"
            raise status.bad_request(f'{given} in version "{version}" cannot be handled as a {kind.kind}: {why}')
        if version != kind.api_version:
            why = (
                f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
            )
            raise status.bad_request(why)
        fitted = fit(kind, body)
        if not fitted.unknown or request.query.get("fieldValidation") == "Ignore":
            return fitted.object, []
        if request.query.get("fieldValidation") == "Strict":
            raise strict_error(kind, fitted.unknown)
        return fitted.object, [f'unknown field "{name}"' for name in fitted.unknown]

    def _object(
        self,
        kind: Kind,
        stored: Stored,
        shape: Shape,
        request: web.Request,
        *,
        code: int = 200,
        warnings: list[str] | None = None,
    ) -> web.Response:
        if shape is Shape.TABLE:
            meta = {"resourceVersion": stored.data["metadata"].get("resourceVersion", "")}
            include = request.query.get("includeObject", "Metadata")
            body = encode(table(kind, [stored], meta, include)).encode()
        elif shape is Shape.PARTIAL:
            body = encode(partial(stored.data)).encode()
        else:
            body = lists.as_version(kind, stored)
        response = answer(body, code)
        for text in warnings or ():
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        return response


def answer(body: bytes, code: int = 200) -> web.Response:
    return web.Response(body=body, status=code, content_type="application/json")


def _dry_run(request: web.Request, options: Object | None = None) -> bool:
    """StatusError 422 for anything but `All`."""
    asked = [*request.query.getall("dryRun", []), *((options or {}).get("dryRun") or ())]
    if any(a != "All" for a in asked):
        why = f'dryRun: Unsupported value: "{asked[0]}": supported values: "All"'
        raise status.unprocessable(f'CreateOptions.meta.k8s.io "" is invalid: {why}')
    return bool(asked)
