"""The lab's API client against a server small enough to misbehave on order."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from pytest_submariner.lab.apierrors import ApiError, ApiUnreachable
from pytest_submariner.lab.informer import Event, Informer
from pytest_submariner.lab.kubeapi import KubeApi, path_to

Object = dict[str, Any]
PODS = "/api/v1/namespaces/ns/pods"


class FakeServer:
    """One collection with a history. `orders`: (method, status, headers) to refuse the next such requests with."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.version = 10
        self.oldest = 0
        self.history: list[tuple[int, Object]] = []
        self.orders: list[tuple[str, int, dict[str, str]]] = []
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.changed = asyncio.Event()
        self.hang_up = asyncio.Event()
        self.page_size = 1000

    def put(self, name: str, **spec: Any) -> Object:
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        uid = self.objects[name]["metadata"]["uid"] if name in self.objects else f"uid-{self.version}"
        metadata = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(self.version)}
        self.objects[name] = {"metadata": metadata, "spec": spec}
        self._record(kind, self.objects[name])
        return self.objects[name]

    def remove(self, name: str) -> None:
        self.version += 1
        gone = self.objects.pop(name)
        self._record("DELETED", {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}})

    def forget(self) -> None:
        """Drop the history, as etcd's compaction does."""
        self.history.clear()
        self.oldest = self.version

    def bookmark(self) -> None:
        self.version += 1
        self._record("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def _record(self, kind: str, changed: Object) -> None:
        self.history.append((self.version, {"type": kind, "object": changed}))
        self.changed.set()
        self.changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body: Any = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path, dict(request.query), body))
        if self.orders and self.orders[0][0] == request.method:
            _, status, headers = self.orders.pop(0)
            return web.json_response(_status(status, "Ordered", "as ordered"), status=status, headers=headers)
        name = request.path.removeprefix(PODS).strip("/").removesuffix("/status")
        if request.query.get("watch"):
            return await self._watch(request)
        if request.method == "GET" and not name:
            return self._list(request)
        if request.method == "POST":
            return web.json_response(self.put(body["metadata"]["name"], **body.get("spec", {})), status=201)
        stored = self.objects.get(name)
        if stored is None:
            return web.json_response(_status(404, "NotFound", f'pods "{name}" not found'), status=404)
        if request.method == "PUT":
            if body["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
                return web.json_response(_status(409, "Conflict", "the object has been modified"), status=409)
            return web.json_response(self.put(name, **body["spec"]))
        if request.method == "DELETE":
            self.remove(name)
        return web.json_response(stored)

    def _list(self, request: web.Request) -> web.Response:
        start = int(request.query.get("continue", "0"))
        items = list(self.objects.values())[start : start + self.page_size]
        metadata: Object = {"resourceVersion": str(self.version)}
        if start + self.page_size < len(self.objects):
            metadata["continue"] = str(start + self.page_size)
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        since = int(request.query["resourceVersion"])
        if since < self.oldest:
            await response.write(
                json.dumps({"type": "ERROR", "object": _status(410, "Expired", "too old")}).encode() + b"\n"
            )
            return response
        while not self.hang_up.is_set():
            changed = self.changed
            for version, event in self.history:
                if version > since:
                    line = json.dumps(event).encode() + b"\n"
                    await response.write(line[:7])  # events may be cut anywhere
                    await response.write(line[7:])
                    since = version
            waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(self.hang_up.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        return response


def _status(code: int, reason: str, message: str) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


@asynccontextmanager
async def serving(server: FakeServer, sock: socket.socket | None = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    sock = sock or socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, sock).start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FakeServer, KubeApi]]:
    server = FakeServer()
    async with serving(server) as url:
        api = KubeApi(url, "token", b"")
        try:
            yield server, api
        finally:
            await api.close()


class Seen:
    """Events of an informer, in short form, with a way to wait for the next."""

    def __init__(self, informer: Informer) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()
        informer.on_event(self.queue.put_nowait)

    async def next(self, count: int) -> list[tuple[str, str]]:
        async with asyncio.timeout(3):
            events = [await self.queue.get() for _ in range(count)]
        return [(event.type, event.object["metadata"]["name"]) for event in events]


def test_paths() -> None:
    assert path_to("v1", "nodes") == "/api/v1/nodes"
    assert path_to("v1", "pods", "ns", "p") == "/api/v1/namespaces/ns/pods/p"
    assert path_to("apps/v1", "daemonsets", "ns") == "/apis/apps/v1/namespaces/ns/daemonsets"


@pytest.mark.asyncio
async def test_objects_make_the_round_trip() -> None:
    async with connected() as (server, api):
        made = await api.create(PODS, {"metadata": {"name": "p"}, "spec": {"a": 1}})
        assert made["metadata"]["uid"]
        assert (await api.get(PODS + "/p")) == made
        assert await api.get(PODS + "/absent") is None
        assert [p["metadata"]["name"] for p in await api.list(PODS, labels="a=b", fields="c=d")] == ["p"]
        assert server.requests[-1][2] == {"labelSelector": "a=b", "fieldSelector": "c=d"}
        await api.delete(PODS + "/p", grace=0, uid="u")
        assert server.requests[-1][3] == {
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": "u"},
        }  # fmt: skip
        assert await api.delete(PODS + "/p") is None


@pytest.mark.asyncio
async def test_list_follows_pages_and_names_the_kind_of_every_item() -> None:
    async with connected() as (server, api):
        for i in range(5):
            server.put(f"p{i}")
        server.page_size = 2
        items = await api.list(PODS)
        assert [i["metadata"]["name"] for i in items] == ["p0", "p1", "p2", "p3", "p4"]
        assert {(i["apiVersion"], i["kind"]) for i in items} == {("v1", "Pod")}


@pytest.mark.asyncio
async def test_refusals_carry_status_reason_and_message() -> None:
    async with connected() as (server, api):
        server.orders = [("POST", 422, {})]
        with pytest.raises(ApiError, match="as ordered") as refused:
            await api.create(PODS, {"metadata": {"name": "p"}})
        assert (refused.value.status, refused.value.reason) == (422, "Ordered")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "status", "headers", "repeated"),
    [
        ("GET", 503, {}, True),
        ("GET", 500, {}, True),
        ("GET", 403, {}, False),
        ("POST", 429, {}, True),
        ("POST", 503, {"Retry-After": "0"}, True),
        ("POST", 500, {}, False),  # it may have happened: a second pod with generateName would be one too many
        ("PUT", 409, {}, False),
    ],
)
async def test_only_what_is_safe_is_repeated(method: str, status: int, headers: dict[str, str], repeated: bool) -> None:
    async with connected() as (server, api):
        stored = server.put("p")
        server.orders = [(method, status, headers)]
        call: Coroutine[Any, Any, object]
        if method == "GET":
            call = api.list(PODS)
        elif method == "POST":
            call = api.create(PODS, {"metadata": {"name": "q"}})
        else:
            call = api.replace(PODS + "/p", stored)
        if repeated:
            await call
        else:
            with pytest.raises(ApiError):
                await call
        assert len(server.requests) == 1 + repeated


@pytest.mark.asyncio
async def test_a_lasting_fault_is_reported_after_bounded_attempts() -> None:
    async with connected() as (server, api):
        server.orders = [("GET", 503, {})] * 50
        with pytest.raises(ApiError):
            await api.list(PODS)
        assert len(server.requests) == 5


@pytest.mark.asyncio
async def test_a_server_that_starts_late_is_waited_for() -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        api = KubeApi(f"http://127.0.0.1:{sock.getsockname()[1]}", "token", b"")
        early = asyncio.create_task(api.list(PODS))
        await asyncio.sleep(0.1)
        assert not early.done()
        sock.listen()
        async with serving(FakeServer(), sock):
            assert await asyncio.wait_for(early, 3) == []
        await api.close()


@pytest.mark.asyncio
async def test_an_unknown_host_is_not_waited_for() -> None:
    api = KubeApi("http://host.invalid:1", "token", b"")
    with pytest.raises(ApiUnreachable, match=r"host\.invalid"):
        await asyncio.wait_for(api.list(PODS), 8)
    await api.close()


@pytest.mark.asyncio
async def test_update_writes_again_after_a_conflict_and_not_at_all_without_a_change() -> None:
    async with connected() as (server, api):
        server.put("p", count=1, other=1)
        interfere = [True]

        def add(pod: Object) -> None:
            pod["spec"]["count"] += 1
            if interfere.pop() if interfere else False:
                server.put("p", count=10, other=2)

        updated = await api.update(PODS + "/p", add)
        assert updated is not None
        assert updated["spec"] == {"count": 11, "other": 2}
        before = server.version
        await api.update(PODS + "/p", lambda pod: None)
        assert server.version == before
        assert await api.update(PODS + "/absent", add) is None
        await api.update(PODS + "/p", add, subresource="status")
        assert [r[1] for r in server.requests if r[0] == "PUT"][-1] == PODS + "/p/status"


@pytest.mark.asyncio
async def test_informer_gives_what_is_there_and_what_changes() -> None:
    async with connected() as (server, api):
        server.put("a")
        informer = api.informer(PODS)
        seen: list[tuple[str, str]] = []

        async def consume() -> None:
            async for event in informer:
                seen.append((event.type, event.object["metadata"]["name"]))
                if event.object["metadata"]["name"] == "last":
                    return

        consumer = asyncio.create_task(consume())
        await asyncio.wait_for(informer.synced.wait(), 3)
        server.put("b", size="x" * 300_000)  # longer than any buffer of the client
        server.put("a", changed=True)
        server.remove("b")
        server.put("last")
        await asyncio.wait_for(consumer, 3)
        assert seen == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b"), ("ADDED", "last")]
        assert sorted(informer.cache) == [("ns", "a"), ("ns", "last")]
        late: list[Event] = []
        informer.on_event(late.append)
        assert [e.type for e in late] == ["ADDED", "ADDED"]


@pytest.mark.asyncio
async def test_informer_resumes_where_it_was_after_a_hang_up() -> None:
    async with connected() as (server, api):
        server.put("a")
        informer = api.informer(PODS)
        seen = Seen(informer)
        informer.start()
        assert await seen.next(1) == [("ADDED", "a")]
        server.bookmark()
        await asyncio.sleep(0.05)
        bookmarked = str(server.version)
        server.hang_up.set()
        await asyncio.sleep(0.05)
        server.put("b")
        server.hang_up.clear()
        assert await seen.next(1) == [("ADDED", "b")]
        lists = [r for r in server.requests if not r[2].get("watch")]
        assert len(lists) == 1
        assert server.requests[-1][2]["resourceVersion"] == bookmarked
        assert server.requests[-1][2]["allowWatchBookmarks"] == "true"


@pytest.mark.asyncio
async def test_informer_lists_again_when_expired_and_tells_what_it_missed() -> None:
    async with connected() as (server, api):
        for name in ("gone", "kept", "changed", "reborn"):
            server.put(name)
        informer = api.informer(PODS)
        seen = Seen(informer)
        informer.start()
        assert len(await seen.next(4)) == 4
        server.hang_up.set()
        await asyncio.sleep(0.05)
        server.remove("gone")
        server.put("changed", now=True)
        server.remove("reborn")
        server.put("reborn")
        server.put("new")
        server.forget()
        server.hang_up.clear()
        assert sorted(await seen.next(5)) == [
            ("ADDED", "new"), ("ADDED", "reborn"), ("DELETED", "gone"), ("DELETED", "reborn"), ("MODIFIED", "changed"),
        ]  # fmt: skip
        server.put("after")
        assert await seen.next(1) == [("ADDED", "after")]


@pytest.mark.asyncio
async def test_an_observed_write_is_in_the_cache_at_once_and_told_once() -> None:
    async with connected() as (server, api):
        informer = api.informer(PODS)
        seen = Seen(informer)
        informer.start()
        await asyncio.wait_for(informer.synced.wait(), 3)
        made = informer.observe(await api.create(PODS, {"metadata": {"name": "mine"}}))
        assert informer.cache["ns", "mine"] == made
        server.remove("mine")
        server.put("marker")
        assert await seen.next(3) == [("ADDED", "mine"), ("DELETED", "mine"), ("ADDED", "marker")]
        informer.observe(made)  # an answer that comes late must not bring back what the watch saw go
        assert sorted(informer.cache) == [("ns", "marker")]


@pytest.mark.asyncio
async def test_a_failing_handler_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as (server, api):
        informer = api.informer(PODS)

        def fail(event: Event) -> None:
            raise RuntimeError("handler fault")

        informer.on_event(fail)
        seen = Seen(informer)
        informer.start()
        server.put("a")
        server.put("b")
        assert [name for _, name in await seen.next(2)] == ["a", "b"]
        assert "handler fault" in caplog.text


@pytest.mark.asyncio
async def test_closing_the_client_ends_its_informers() -> None:
    server = FakeServer()
    async with serving(server) as url:
        api = KubeApi(url, "token", b"")
        informer = api.informer(PODS)
        ended: list[bool] = []

        async def consume() -> None:
            async for _ in informer:
                pass
            ended.append(True)

        consumer = asyncio.create_task(consume())
        await asyncio.wait_for(informer.synced.wait(), 3)
        await api.close()
        await asyncio.wait_for(consumer, 3)
        assert ended == [True]
