"""The server as a process part: who gets in, limits, several sockets, ending; and what it hands to the kubelet."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from api_servers import SERVICE_CIDR, TOKEN, Server

from pytest_submariner.lab.api import ApiServer
from pytest_submariner.lab.api.devcert import self_signed, server_context

POD: dict[str, Any] = {
    "metadata": {"name": "p"},
    "spec": {"nodeName": "n1", "containers": [{"name": "one", "image": "i"}, {"name": "two", "image": "i"}]},
}


class Kubelet:
    """Says what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, list[str]]] = []

    async def exec(self, request: web.Request, pod: dict[str, Any], container: str) -> web.StreamResponse:
        self.asked.append((request.method, pod["metadata"]["name"], container, request.query.getall("command", [])))
        return web.Response(status=403, text="no")

    async def logs(self, request: web.Request, pod: dict[str, Any], container: str) -> web.StreamResponse:
        return web.Response(text=f"log of {container}")


@asynccontextmanager
async def running(
    kubelet: Kubelet | None = None, sockets: int = 1
) -> AsyncIterator[tuple[ApiServer, list[str], aiohttp.ClientSession]]:
    """A server on loopback TLS, its URLs, and a client that may ask it."""
    certificate, key = self_signed(("127.0.0.1",))
    server = ApiServer(
        "c1", tokens={TOKEN: "admin"}, service_cidr=SERVICE_CIDR, pods=kubelet, advertise=("172.18.0.1", 6443)
    )
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(sockets)]
    await server.start(opened, server_context(certificate, key))
    context = ssl.create_default_context(cadata=certificate.decode())
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=context)) as client:
            yield server, [f"https://127.0.0.1:{s.getsockname()[1]}" for s in opened], client
    finally:
        await server.stop()


def test_only_known_tokens_get_in(embedded: Server) -> None:
    code, refusal = embedded.ask("GET", "/api/v1/pods", token="guess")
    assert (code, refusal["reason"], refusal["kind"]) == (401, "Unauthorized", "Status")
    assert embedded.ask("GET", "/version", token="guess")[0] == 401
    embedded.tokens["fresh"] = "somebody"
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    assert embedded.ask("POST", path, {}, token="fresh")[1]["status"]["userInfo"]["username"] == "somebody"
    del embedded.tokens["fresh"]
    assert embedded.ask("GET", "/api/v1/pods", token="fresh")[0] == 401


def test_service_accounts_get_tokens(embedded: Server) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts"
    assert embedded.ask("POST", path, {"metadata": {"name": "robot"}})[0] == 201
    code, made = embedded.ask("POST", f"{path}/robot/token", {"spec": {"expirationSeconds": 600}})
    assert (code, made["kind"], made["spec"]["expirationSeconds"]) == (201, "TokenRequest", 600)
    assert embedded.ask("GET", "/api/v1/pods", token=made["status"]["token"])[0] == 200


def test_bodies_have_a_limit(embedded: Server) -> None:
    body = {"metadata": {"name": "big"}, "data": {"x": "y" * 4_000_000}}
    code, refusal = embedded.ask("POST", "/api/v1/namespaces/default/configmaps", body)
    assert (code, refusal["reason"]) == (413, "RequestEntityTooLarge")


def test_unknown_fields_are_warned_of(embedded: Server) -> None:
    import http.client

    host = embedded.url.removeprefix("https://")
    connection = http.client.HTTPSConnection(host, context=embedded.tls, timeout=10)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    body = '{"metadata":{"name":"warned"},"dota":{}}'
    connection.request("POST", "/api/v1/namespaces/default/configmaps", body, headers)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Warning"]) == (201, '299 - "unknown field \\"dota\\""')
    connection.close()


def test_answers_only_in_what_it_speaks(embedded: Server) -> None:
    assert embedded.ask("GET", "/api/v1/pods", accept="text/html")[0] == 406
    first = "application/vnd.kubernetes.protobuf,application/json"
    assert embedded.ask("GET", "/api/v1/pods", accept=first)[1]["kind"] == "PodList"
    partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    code, listed = embedded.ask("GET", "/api/v1/namespaces", accept=partial)
    assert (code, listed["kind"], listed["apiVersion"]) == (200, "PartialObjectMetadataList", "meta.k8s.io/v1")
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}


@pytest.mark.asyncio
async def test_aggregated_discovery_names_its_type() -> None:
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}
    async with running() as (_, (url,), client):
        async with client.get(f"{url}/apis", headers=accept) as answer:
            assert (
                answer.headers["Content-Type"] == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            )
            etag = answer.headers["ETag"]
            groups = {g["metadata"]["name"]: g for g in (await answer.json())["items"]}
        assert "submariner.io" in groups
        assert [v["version"] for v in groups["submariner.io"]["versions"]] == ["v1", "v1alpha1"]
        async with client.get(f"{url}/apis", headers={**accept, "If-None-Match": etag}) as answer:
            assert answer.status == 304


@pytest.mark.asyncio
async def test_several_sockets_show_one_cluster() -> None:
    async with running(sockets=2) as (_, (first, second), client):
        body = {"metadata": {"name": "a"}}
        async with client.post(f"{first}/api/v1/namespaces/default/configmaps", json=body) as answer:
            made = await answer.json()
        async with client.get(f"{second}/api/v1/namespaces/default/configmaps/a") as answer:
            assert await answer.json() == made
        async with client.get(f"{second}/api/v1/namespaces/default/endpoints/kubernetes") as answer:
            (subset,) = (await answer.json())["subsets"]
            assert subset["addresses"] == [{"ip": "172.18.0.1"}]


@pytest.mark.asyncio
async def test_stopping_ends_watches_at_once() -> None:
    async with running() as (server, (url,), client), client.get(f"{url}/api/v1/pods?watch=true") as watching:
        start = time.monotonic()
        await server.stop()
        assert await watching.content.read() == b""
        assert time.monotonic() - start < 0.8


@pytest.mark.asyncio
async def test_a_watch_ends_with_its_client() -> None:
    async with running() as (server, (url,), client):
        for _ in range(3):
            async with client.get(f"{url}/api/v1/nodes?watch=true") as watching:
                assert watching.status == 200
        collection = server._resources.store.collection("", "nodes")
        for _ in range(100):
            if not collection._waiters:
                break
            await asyncio.sleep(0.02)
        assert not collection._waiters


@pytest.mark.asyncio
async def test_exec_and_logs_go_to_the_kubelet() -> None:
    kubelet = Kubelet()
    upgrade = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    async with running(kubelet) as (_, (url,), client):
        pods = f"{url}/api/v1/namespaces/default/pods"
        async with client.post(pods, json=POD) as answer:
            assert answer.status == 201
        async with client.get(f"{pods}/p/log?container=two") as answer:
            assert await answer.text() == "log of two"
        async with client.get(f"{pods}/p/log") as answer:
            message = (await answer.json())["message"]
        assert message == "a container name must be specified for pod p, choose one of: [one two]"
        async with client.post(f"{pods}/p/exec?command=x&container=one") as answer:
            assert (answer.status, (await answer.json())["message"]) == (400, "Upgrade request required")
        long = "y" * 60_000
        query = [("command", "echo"), ("command", long), ("container", "one"), ("container", "one")]
        async with client.post(f"{pods}/p/exec", params=query, headers=upgrade) as answer:
            assert (answer.status, await answer.text()) == (403, "no")
    assert kubelet.asked == [("POST", "p", "one", ["echo", long])]


@pytest.mark.asyncio
async def test_a_fault_is_a_status(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async with running() as (server, (url,), client):
        monkeypatch.setattr(server._resources, "select", lambda *_: 1 / 0)
        async with client.get(f"{url}/api/v1/pods") as answer:
            body = await answer.json()
        assert (answer.status, body["reason"]) == (500, "InternalError")
        assert "ZeroDivisionError" in caplog.text
