"""POST, PUT, PATCH and DELETE of objects, and of the subresources that take an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from pytest_submariner.lab.api import lists, patch, status, subresources
from pytest_submariner.lab.api.answers import answer, object_answer
from pytest_submariner.lab.api.apply import Application
from pytest_submariner.lab.api.bodies import TRUE, body_of, delete_options, fitted, is_dry_run
from pytest_submariner.lab.api.lists import ListOptions
from pytest_submariner.lab.api.negotiation import media_type, parse
from pytest_submariner.lab.api.paths import Target
from pytest_submariner.lab.api.resources import Resources
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.typed import fit_as


@dataclass
class Writes:
    """The writing half of a server."""

    resources: Resources
    tokens: dict[str, str]

    async def create(self, request: web.Request, target: Target) -> web.StreamResponse:
        kind, namespace = target.kind, target.namespace or ""
        if kind.namespaced and target.namespace is None:
            raise status.method_not_allowed()
        body, warnings = fitted(kind, await body_of(request), request)
        given = body["metadata"].get("namespace")
        if given and given != namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        stored = self.resources.create(kind, namespace, body, dry_run=is_dry_run(request))
        return object_answer(request, kind, stored, code=201, warnings=warnings)

    async def replace(self, request: web.Request, target: Target) -> web.StreamResponse:
        kind, namespace = target.kind, target.namespace or ""
        if target.subresource == "scale":
            return self._scale(request, target, fit_as("autoscaling/v1", "Scale", await body_of(request)))
        if target.subresource not in {"", "status", "finalize"}:
            raise status.method_not_allowed()
        body, warnings = fitted(kind, await body_of(request), request)
        absent = not self.resources.collection(kind).get(namespace, target.name)
        if absent and kind.create_on_update and not target.subresource:
            body["metadata"].setdefault("name", target.name)
            stored = self.resources.create(kind, namespace, body, dry_run=is_dry_run(request))
            return object_answer(request, kind, stored, code=201, warnings=warnings)
        stored = self.resources.update(
            kind,
            namespace,
            target.name,
            lambda _: body,
            subresource=target.subresource,
            dry_run=is_dry_run(request),
        )
        return object_answer(request, kind, stored, warnings=warnings)

    async def patch(self, request: web.Request, target: Target) -> web.StreamResponse:
        kind, namespace = target.kind, target.namespace or ""
        content_type = media_type(request.headers)
        if target.subresource not in {"", "status", "scale"}:
            raise status.method_not_allowed()
        if content_type not in patch.accepted(kind):
            raise status.unsupported_media(patch.accepted(kind))
        document = parse(content_type, await request.read())
        if target.subresource == "scale":
            have = subresources.scale_of(self.resources.get(kind, namespace, target.name))
            scale = patch.patched(kind, patch.MERGE_PATCH, document, have)
            return self._scale(request, target, fit_as("autoscaling/v1", "Scale", scale))
        if content_type == patch.APPLY_PATCH:
            return self._apply(request, target, document)
        warnings: list[str] = []

        def change(current: Object) -> Object:
            body, more = fitted(kind, patch.patched(kind, content_type, document, current), request)
            warnings.extend(more)
            return body

        stored = self.resources.update(
            kind,
            namespace,
            target.name,
            change,
            subresource=target.subresource,
            dry_run=is_dry_run(request),
        )
        return object_answer(request, kind, stored, warnings=warnings)

    def _apply(self, request: web.Request, target: Target, document: Any) -> web.StreamResponse:
        """Server-side apply: creates what is not there."""
        kind, namespace = target.kind, target.namespace or ""
        manager = request.query.get("fieldManager", "")
        if not manager:
            why = "fieldManager: Required value: is required for apply patch"
            raise status.unprocessable(f'PatchOptions.meta.k8s.io "" is invalid: {why}')
        wanted, warnings = fitted(kind, document, request)
        wanted["metadata"].setdefault("name", target.name)
        application = Application(kind, wanted, manager, request.query.get("force") in TRUE, target.subresource)
        dry_run = is_dry_run(request)
        if not target.subresource and not self.resources.collection(kind).get(namespace, target.name):
            stored = self.resources.create(kind, namespace, application.new(), dry_run=dry_run)
            return object_answer(request, kind, stored, code=201, warnings=warnings)
        stored = self.resources.update(
            kind,
            namespace,
            target.name,
            application.change,
            subresource=target.subresource,
            dry_run=dry_run,
        )
        return object_answer(request, kind, stored, warnings=warnings)

    def _scale(self, request: web.Request, target: Target, scale: Object) -> web.StreamResponse:
        stored = self.resources.update(
            target.kind,
            target.namespace or "",
            target.name,
            lambda current: subresources.scaled(current, scale),
            dry_run=is_dry_run(request),
        )
        return answer(subresources.scale_of(stored))

    async def delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = await delete_options(request)
        kind = target.kind
        dry_run = is_dry_run(request, options)
        deleted = self.resources.delete(kind, target.namespace or "", target.name, options, dry_run=dry_run)
        if kind.returns_deleted or not deleted.gone:
            return object_answer(request, kind, deleted.stored)
        return answer(status.success(kind, target.name, deleted.stored.uid))

    async def delete_collection(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = await delete_options(request)
        chosen = ListOptions.of(target.kind, request.query)
        found, _ = lists.page(self.resources.select(target.kind, target.namespace, chosen.match), chosen)
        deleted = self.resources.delete_collection(target.kind, found, options, dry_run=is_dry_run(request, options))
        meta = {"resourceVersion": str(self.resources.store.version)}
        return answer(lists.list_json(target.kind, deleted, meta))

    async def post_subresource(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Binding, eviction and token: they take an object of another kind."""
        kind, namespace = target.kind, target.namespace or ""
        body = await body_of(request)
        match target.subresource:
            case "binding":
                binding = fit_as("v1", "Binding", body)
                made = subresources.bind(self.resources, kind, namespace, target.name, binding)
            case "eviction":
                eviction = fit_as("policy/v1", "Eviction", body)
                made = subresources.evict(self.resources, kind, namespace, target.name, eviction)
            case "token":
                account = self.resources.get(kind, namespace, target.name)
                asked = fit_as("authentication.k8s.io/v1", "TokenRequest", body)
                made = subresources.new_token(self.tokens, account, asked)
            case _:
                raise status.method_not_allowed()
        return answer(made, 201)
