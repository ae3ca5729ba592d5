"""The synchronous client of one cluster: objects as plain dicts, exec that proves its answer is whole."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_submariner.kube import resources
from pytest_submariner.kube.errors import ApiError, ResourceAbsent
from pytest_submariner.kube.kubeconfig import open_access
from pytest_submariner.kube.resources import Resource
from pytest_submariner.kube.rest import Rest

if TYPE_CHECKING:
    from pytest_submariner.model.result import CommandResult

PAGE = 500
Objects = list[dict[str, Any]]


class KubeClient:
    """One cluster's API, for any number of threads. `resource` is a plural with its API group: `pods`,
    `daemonsets.apps`,
    `endpoints.submariner.io`; kinds that `resources.KNOWN` lacks are looked up once.

    Errors of every call: NodeUnreachable when there is no connection, AccessDenied when the credentials are refused,
    ResourceAbsent when the cluster lacks the kind, ApiError for any other refusal.
    """

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        self.access = open_access(kubeconfig, context)
        self.rest = Rest(self.access)
        self._found: dict[str, Resource] = {}
        self._lock = threading.Lock()

    @property
    def context(self) -> str:
        return self.access.context

    @property
    def server(self) -> str:
        return self.access.server

    def version(self) -> str:
        """The server's version as it writes it: `v1.32.3`."""
        return str(self.rest.request("GET", "/version")["gitVersion"])

    def list(self, resource: str, *, namespace: str | None = None, labels: str = "", fields: str = "") -> Objects:
        """All objects that match the selectors, of one namespace or of all; read in pages."""
        return self.list_with_version(resource, namespace=namespace, labels=labels, fields=fields)[0]

    def list_with_version(
        self, resource: str, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> tuple[Objects, str]:
        """The objects, and the resourceVersion a watch goes on from."""
        path = self._path(resource, namespace)
        query = {
            "limit": str(PAGE),
            **({"labelSelector": labels} if labels else {}),
            **({"fieldSelector": fields} if fields else {}),
        }
        items: Objects = []
        while True:
            try:
                page = self._ask(resource, "GET", path, query=query)
            except ApiError as error:
                if error.status != 410 or "continue" not in query:
                    raise
                items, query = (
                    [],
                    {k: v for k, v in query.items() if k not in {"continue", "limit"}},
                )  # the page expired: all at once
                continue
            items += page.get("items") or []
            query["continue"] = page.get("metadata", {}).get("continue") or ""
            if not query["continue"]:
                return items, str(page.get("metadata", {}).get("resourceVersion", ""))

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> dict[str, Any] | None:
        """The object, or None when there is none of that name."""
        try:
            found: dict[str, Any] = self._ask(resource, "GET", self._path(resource, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    def create(self, resource: str, body: dict[str, Any], *, namespace: str | None = None) -> dict[str, Any]:
        """The object as stored. ApiError with `reason` AlreadyExists when the name is taken, Forbidden when admission
        refuses it."""
        space = namespace or body.get("metadata", {}).get("namespace")
        made: dict[str, Any] = self._ask(resource, "POST", self._path(resource, space), body=body)
        return made

    def patch(
        self, resource: str, name: str, patch: dict[str, Any], *, namespace: str | None = None, subresource: str = ""
    ) -> dict[str, Any]:
        """The object after a JSON merge patch (RFC 7386)."""
        path = self._path(resource, namespace, name) + (f"/{subresource}" if subresource else "")
        result: dict[str, Any] = self._ask(
            resource, "PATCH", path, body=patch, content_type="application/merge-patch+json"
        )
        return result

    def delete(self, resource: str, name: str, *, namespace: str | None = None, grace: int | None = None) -> None:
        """Ask for removal; nothing happens when the object is gone already. `grace` in seconds, 0 kills pods at
        once."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self._ask(resource, "DELETE", self._path(resource, namespace, name), body=options)
        except ApiError as error:
            if error.status != 404:
                raise

    def logs(self, namespace: str, pod: str, container: str | None = None, *, tail: int = 200) -> str:
        """The last `tail` lines a container wrote."""
        query = {"tailLines": str(tail), **({"container": container} if container else {})}
        text = self.rest.request("GET", resources.KNOWN["pods"].path(namespace, pod) + "/log", query=query)
        return text if isinstance(text, str) else str(text)

    def wait_running(self, namespace: str, names: Collection[str], deadline_s: float) -> dict[str, dict[str, Any]]:
        """The named pods once all containers of all of them run, by name. PodNotReady says which do not, and why."""
        from pytest_submariner.kube.waiting import wait_running

        return wait_running(self, namespace, names, deadline_s)

    def exec(
        self,
        namespace: str,
        pod: str,
        container: str | None,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float = 30,
        prefix: Sequence[str] = (),
    ) -> CommandResult:
        """Run `argv` in a container. `timeout` in seconds covers connecting as well. `prefix` are words to run it by,
        such as
        `chroot /host`, which do not count as the command.

        Errors: CommandNotFound, ExecTimeout (with partial stdout), ExitStatusLost, NodeUnreachable (no such pod or
        container, its node does not answer), AccessDenied, TransportError (the answer arrived incomplete).
        """
        from pytest_submariner.kube.call import Container
        from pytest_submariner.kube.exec import execute

        return execute(
            self.access, Container(namespace, pod, container), argv, stdin=stdin, timeout=timeout, prefix=prefix
        )

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
        """Start `argv`, write `first_line` to it and give its stdout lines (without newline) as they come. The last must have come
        after `timeout` seconds, the first after `patience`.

        stdin stays open until the conversation ends, so a program that waits for its end notices when we are gone.
        After the last line: TransportError when the command failed. Before: ExecTimeout, ExitStatusLost when the
        stream broke.
        """
        from pytest_submariner.kube.call import Container
        from pytest_submariner.kube.exec import converse

        target = Container(namespace, pod, container)
        return converse(self.access, target, argv, first_line=first_line, timeout=timeout, patience=patience)

    def close(self) -> None:
        """Drop idle connections; the client can still be used afterwards."""
        self.access.pool.clear()

    def path(self, resource: str, namespace: str | None = None, name: str | None = None) -> str:
        """The path of a collection or an object on this server."""
        return self._path(resource, namespace, name)

    def _path(self, resource: str, namespace: str | None = None, name: str | None = None) -> str:
        found = resources.KNOWN.get(resource) or self._found.get(resource) or self._discover(resource)
        if name is not None and found.namespaced and namespace is None:
            raise ValueError(f"{resource} live in namespaces: which one is {name} in?")
        return found.path(namespace, name)

    def _discover(self, resource: str) -> Resource:
        """Ask the server which version of the group serves this kind."""
        plural, group = resources.split(resource)
        try:
            versions = (
                ["v1"] if not group else [self.rest.request("GET", f"/apis/{group}")["preferredVersion"]["version"]]
            )
            prefix = f"/apis/{group}/{versions[0]}" if group else "/api/v1"
            served = self.rest.request("GET", prefix)["resources"]
        except ApiError as error:
            if error.status == 404:
                raise self._absent(resource) from None
            raise
        for entry in served:
            if entry["name"] == plural:
                found = Resource(prefix, plural, bool(entry["namespaced"]))
                with self._lock:
                    self._found = {**self._found, resource: found}
                return found
        raise self._absent(resource)

    def _ask(self, resource: str, method: str, path: str, **kwargs: Any) -> Any:
        try:
            return self.rest.request(method, path, **kwargs)
        except ApiError as error:
            # An absent object is a Status with a name in it; an absent kind is plain text, or a Status about the path.
            if error.status == 404 and (not error.reason or "could not find the requested resource" in str(error)):
                raise self._absent(resource) from None
            raise

    def _absent(self, resource: str) -> ResourceAbsent:
        hint = ": is Submariner installed there?" if resource.endswith("submariner.io") else ""
        return ResourceAbsent(f"{self.access.origin}: this cluster has no {resource}{hint}")
