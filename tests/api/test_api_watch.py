"""Watches: what is sent, in which order, and when they end."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from api_servers import Server

from pytest_submariner.lab.api import store, watch


def events(server: Server, path: str, *, accept: str = "", **query: Any) -> Iterator[dict[str, Any]]:
    """The watch's events until it ends."""
    text = urllib.parse.urlencode({"watch": "true", "timeoutSeconds": 5, **query})
    headers = {"Authorization": f"Bearer {server.token}", "Accept": accept or "application/json"}
    request = urllib.request.Request(f"{server.url}{path}?{text}", headers=headers)
    with urllib.request.urlopen(request, context=server.tls, timeout=20) as answer:
        for line in answer:
            yield json.loads(line)


def names(found: Iterator[dict[str, Any]], count: int) -> list[tuple[str, str]]:
    """Type and name of the next events."""
    return [(e["type"], e["object"]["metadata"].get("name", "")) for e in islice(found, count)]


@pytest.fixture
def configmaps(server: Server, namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.fixture
def write(server: Server, configmaps: str) -> Callable[..., dict[str, Any]]:
    def call(method: str, name: str, **body: Any) -> dict[str, Any]:
        path = configmaps if method == "POST" else f"{configmaps}/{name}"
        sent = None if method == "DELETE" else {**body, "metadata": {"name": name, **body.get("metadata", {})}}
        media_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        code, answer = server.ask(method, path, sent, media_type=media_type)
        assert code in {200, 201}, answer
        found: dict[str, Any] = answer
        return found

    return call


def test_starts_with_what_is_there(server: Server, configmaps: str, write: Callable[..., Any]) -> None:
    write("POST", "a")
    write("POST", "b")
    found = events(server, configmaps)
    assert sorted(names(found, 2)) == [("ADDED", "a"), ("ADDED", "b")]
    write("PATCH", "a", data={"x": "1"})
    write("DELETE", "b")
    assert names(found, 2) == [("MODIFIED", "a"), ("DELETED", "b")]


def test_resumes_after_a_version(server: Server, configmaps: str, write: Callable[..., Any]) -> None:
    first = write("POST", "a")["metadata"]["resourceVersion"]
    write("PATCH", "a", data={"x": "1"})
    write("POST", "b")
    write("DELETE", "a")
    found = list(islice(events(server, configmaps, resourceVersion=first), 3))
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in found] == [
        ("MODIFIED", "a"),
        ("ADDED", "b"),
        ("DELETED", "a"),
    ]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in found]
    assert versions == sorted(set(versions)), "a removal has a version of its own"
    assert found[2]["object"]["data"] == {"x": "1"}


def test_objects_enter_and_leave_a_selector(server: Server, configmaps: str, write: Callable[..., Any]) -> None:
    version = write("POST", "a", metadata={"labels": {"k": "no"}})["metadata"]["resourceVersion"]
    write("PATCH", "a", metadata={"labels": {"k": "yes"}})
    write("PATCH", "a", data={"x": "1"})
    write("PATCH", "a", metadata={"labels": {"k": "no"}})
    write("DELETE", "a")
    found = list(islice(events(server, configmaps, resourceVersion=version, labelSelector="k=yes"), 3))
    assert [e["type"] for e in found] == ["ADDED", "MODIFIED", "DELETED"]


def test_one_object_by_field_or_by_path(server: Server, configmaps: str, write: Callable[..., Any]) -> None:
    version = write("POST", "a")["metadata"]["resourceVersion"]
    write("POST", "b")
    old_path = configmaps.replace("/v1/", "/v1/watch/") + "/b"
    for path, query in ((configmaps, {"fieldSelector": "metadata.name=b"}), (old_path, {})):
        found = list(islice(events(server, path, resourceVersion=version, **query), 1))
        assert [e["object"]["metadata"]["name"] for e in found] == ["b"]


def test_ends_after_its_time(server: Server, configmaps: str) -> None:
    version = server.ask("GET", configmaps)[1]["metadata"]["resourceVersion"]
    start = time.monotonic()
    assert list(events(server, configmaps, resourceVersion=version, timeoutSeconds=1)) == []
    assert 0.9 < time.monotonic() - start < 4


def test_rows_of_a_table(server: Server, configmaps: str, write: Callable[..., Any]) -> None:
    write("POST", "a", data={"x": "1"})
    write("POST", "b")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    first, second = islice(events(server, configmaps, accept=accept), 2)
    assert [c["name"] for c in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert first["object"]["rows"][0]["cells"][:2] == ["a", 1]
    assert not second["object"].get("columnDefinitions")
    assert second["object"]["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_initial_events_end_with_a_bookmark(embedded: Server) -> None:
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    found = list(events(embedded, "/api/v1/namespaces", timeoutSeconds=1, **query))
    assert {e["type"] for e in found[:-1]} == {"ADDED"}
    assert found[-1]["type"] == "BOOKMARK"
    assert found[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert found[-1]["object"]["kind"] == "Namespace"
    code, refusal = embedded.ask("GET", "/api/v1/namespaces?watch=true&sendInitialEvents=true")
    assert (code, refusal["reason"]) == (422, "Invalid")


def test_bookmarks_tell_the_version_of_a_quiet_watch(embedded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BOOKMARK_S", 0.2)
    version = embedded.ask("GET", "/api/v1/nodes")[1]["metadata"]["resourceVersion"]
    found = events(embedded, "/api/v1/nodes", resourceVersion=version, allowWatchBookmarks="true")
    embedded.ask("POST", "/api/v1/namespaces", {"metadata": {"generateName": "other-"}})
    marks = list(islice(found, 2))
    assert [e["type"] for e in marks] == ["BOOKMARK", "BOOKMARK"]
    assert int(marks[-1]["object"]["metadata"]["resourceVersion"]) > int(version)


def test_a_version_that_is_forgotten_is_gone(embedded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RING", 3)
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    first = embedded.ask("POST", path, {"metadata": {"name": "ring"}, "spec": {}})[1]["metadata"]["resourceVersion"]
    for i in range(6):
        assert (
            embedded.ask(
                "PATCH", f"{path}/ring", {"spec": {"holderIdentity": str(i)}}, media_type="application/merge-patch+json"
            )[0]
            == 200
        )
    (event,) = events(embedded, path, resourceVersion=first)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith(f"too old resource version: {first} (")


def test_every_watcher_gets_every_event(embedded: Server) -> None:
    path = "/api/v1/namespaces/kube-public/configmaps"
    version = embedded.ask("GET", path)[1]["metadata"]["resourceVersion"]
    seen: list[list[tuple[str, str]]] = []

    def follow() -> None:
        seen.append(names(events(embedded, path, resourceVersion=version), 20))

    threads = [threading.Thread(target=follow) for _ in range(5)]
    for thread in threads:
        thread.start()
    for i in range(20):
        assert embedded.ask("POST", path, {"metadata": {"name": f"w{i:02}"}})[0] == 201
    for thread in threads:
        thread.join(15)
    assert seen == [[("ADDED", f"w{i:02}") for i in range(20)]] * 5
