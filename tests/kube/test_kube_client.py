"""What the client asks, what it makes of the answers, and what it asks again."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from scripted_api import Answer, Script

from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.kube.errors import AccessDenied, ApiError, ResourceAbsent


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


def paths(script: Script) -> list[str]:
    return [request for request, _ in script.seen]


def test_version(client: KubeClient, script: Script) -> None:
    script.on("GET /version", Answer({"gitVersion": "v1.32.3"}))
    assert client.version() == "v1.32.3"


def test_a_long_list_is_read_in_pages(client: KubeClient, script: Script) -> None:
    first = {"items": [{"n": 1}], "metadata": {"continue": "token", "resourceVersion": "7"}}
    script.on("GET /api/v1/nodes", Answer(first), Answer({"items": [{"n": 2}], "metadata": {"resourceVersion": "7"}}))
    assert client.list("nodes", labels="a=b") == [{"n": 1}, {"n": 2}]
    assert paths(script) == [
        "GET /api/v1/nodes?limit=500&labelSelector=a%3Db",
        "GET /api/v1/nodes?limit=500&labelSelector=a%3Db&continue=token",
    ]


def test_an_expired_page_means_the_whole_list_once_more(client: KubeClient, script: Script) -> None:
    script.on(
        "GET /api/v1/pods",
        Answer({"items": [{"n": 1}], "metadata": {"continue": "token"}}),
        Answer(status(410, "Expired", "too old"), 410),
        Answer({"items": [{"n": 1}, {"n": 2}], "metadata": {}}),
    )
    assert client.list("pods") == [{"n": 1}, {"n": 2}]
    assert paths(script)[-1] == "GET /api/v1/pods"


@pytest.mark.parametrize(
    ("resource", "namespace", "path"),
    [
        ("endpoints", "x", "/api/v1/namespaces/x/endpoints"),
        ("endpoints.submariner.io", "x", "/apis/submariner.io/v1/namespaces/x/endpoints"),
        ("daemonsets.apps", None, "/apis/apps/v1/daemonsets"),
        ("clusterglobalegressips.submariner.io", "ignored", "/apis/submariner.io/v1/clusterglobalegressips"),
        (
            "serviceexports.multicluster.x-k8s.io",
            "x",
            "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/x/serviceexports",
        ),
    ],
)
def test_core_and_submariner_endpoints_are_told_apart(
    client: KubeClient, resource: str, namespace: str | None, path: str
) -> None:
    assert client.path(resource, namespace) == path


def test_an_unknown_kind_is_discovered_once(client: KubeClient, script: Script) -> None:
    script.on("GET /apis/example.org", Answer({"preferredVersion": {"version": "v1beta2"}}))
    script.on("GET /apis/example.org/v1beta2", Answer({"resources": [{"name": "things", "namespaced": True}]}))
    script.on("GET /apis/example.org/v1beta2/namespaces/x/things/y", Answer({"kind": "Thing"}))
    for _ in range(2):
        assert client.get("things.example.org", "y", namespace="x") == {"kind": "Thing"}
    assert len(script.seen) == 4


def test_an_absent_kind_is_not_an_empty_list(client: KubeClient) -> None:
    with pytest.raises(ResourceAbsent, match=r"has no gateways\.submariner\.io: is Submariner installed"):
        client.list("gateways.submariner.io")
    with pytest.raises(ResourceAbsent, match=r"has no things\.example\.org$"):
        client.list("things.example.org")


def test_an_absent_object_is_none(client: KubeClient, script: Script) -> None:
    script.on("GET /api/v1/nodes/n", Answer(status(404, "NotFound", 'nodes "n" not found'), 404))
    assert client.get("nodes", "n") is None


def test_deleting_what_is_gone_is_fine(client: KubeClient, script: Script) -> None:
    script.on("DELETE /api/v1/namespaces/n", Answer(status(404, "NotFound", 'namespaces "n" not found'), 404))
    client.delete("namespaces", "n", grace=0)
    assert script.seen[0][1]["gracePeriodSeconds"] == 0


@pytest.mark.parametrize("code", [429, 500, 503])
def test_reads_are_asked_again(client: KubeClient, script: Script, code: int) -> None:
    script.on(
        "GET /api/v1/nodes/n", Answer(status(code, "", "busy"), code), Answer(drop=True), Answer({"kind": "Node"})
    )
    assert client.get("nodes", "n") == {"kind": "Node"}
    assert len(script.seen) == 3


def test_a_server_that_stays_broken_is_told_in_its_own_words(client: KubeClient, script: Script) -> None:
    script.on("GET /api/v1/nodes", Answer(status(500, "InternalError", "etcd is away"), 500))
    with pytest.raises(ApiError, match="500 etcd is away") as caught:
        client.list("nodes")
    assert (caught.value.status, caught.value.reason, len(script.seen)) == (500, "InternalError", 4)


def test_a_create_that_may_have_happened_is_not_repeated(client: KubeClient, script: Script) -> None:
    script.on("POST /api/v1/namespaces", Answer(status(500, "InternalError", "unknown"), 500))
    with pytest.raises(ApiError):
        client.create("namespaces", {"metadata": {"name": "n"}})
    script.on("POST /api/v1/nodes", Answer(drop=True))
    with pytest.raises(NodeUnreachable):
        client.create("nodes", {"metadata": {"name": "n"}})
    assert len(script.seen) == 2


def test_a_create_the_server_did_not_take_is_repeated(client: KubeClient, script: Script) -> None:
    script.on("POST /api/v1/namespaces/x/pods", Answer(status(429, "", ""), 429), Answer({"kind": "Pod"}, 201))
    assert client.create("pods", {"metadata": {"namespace": "x", "generateName": "p-"}}) == {"kind": "Pod"}


def test_admission_speaks_for_itself(client: KubeClient, script: Script) -> None:
    script.on("POST /api/v1/namespaces/x/pods", Answer(status(403, "Forbidden", "violates PodSecurity"), 403))
    with pytest.raises(ApiError, match="violates PodSecurity") as caught:
        client.create("pods", {}, namespace="x")
    assert caught.value.reason == "Forbidden"


def test_refused_credentials_are_not_tried_again(client: KubeClient, script: Script) -> None:
    script.on("GET /version", Answer(status(401, "Unauthorized", "Unauthorized"), 401))
    with pytest.raises(AccessDenied, match="does not accept its credentials"):
        client.version()
    assert len(script.seen) == 1


def test_retry_after_is_honoured(client: KubeClient, script: Script) -> None:
    script.on(
        "GET /version", Answer(status(429, "", ""), 429, headers={"Retry-After": "1"}), Answer({"gitVersion": "v1"})
    )
    started = time.monotonic()
    client.version()
    assert time.monotonic() - started >= 1


def test_many_threads_share_a_client(client: KubeClient, script: Script) -> None:
    script.on("GET /version", Answer({"gitVersion": "v1"}))
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: client.version(), range(64))) == {"v1"}
