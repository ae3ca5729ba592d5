"""The processes' API client against a TLS server with the lab's own kind of certificate."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from pytest_submariner.lab.credentials import Authority
from pytest_submariner.lab.submariner.client import ApiClient, ApiFailure

AUTHORITY = Authority.generate("client-test")
THINGS = "/apis/example.org/v1/things"


class Handler(BaseHTTPRequestHandler):
    """A collection with optimistic concurrency, which hangs up after `patience` requests."""

    protocol_version = "HTTP/1.1"
    stored: ClassVar[dict[str, dict[str, Any]]] = {}
    requests: ClassVar[list[str]] = []
    patience = 1000

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        Handler.patience -= 1
        self.close_connection = Handler.patience == 0  # without saying so: as a server that restarts

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        body: dict[str, Any] = json.loads(self.rfile.read(length) or b"{}")
        return body

    def _serve(self) -> None:
        Handler.requests.append(f"{self.command} {self.path} {self.headers.get('Content-Type')}")
        body, name = self._body(), self.path.removeprefix(THINGS).strip("/")
        if self.headers["Authorization"] != "Bearer letmein":
            self._answer(401, {"kind": "Status", "message": "Unauthorized"})
        elif self.command == "GET" and self.path.startswith(f"{THINGS}?"):
            self._answer(200, {"items": [self.stored[key] for key in self.stored]})
        elif self.command == "POST":
            self.stored[body["metadata"]["name"]] = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
            self._answer(201, body)
        elif name not in self.stored:
            self._answer(404, {"kind": "Status", "message": f'things "{name}" not found'})
        elif (
            self.command == "PUT"
            and body["metadata"]["resourceVersion"] != self.stored[name]["metadata"]["resourceVersion"]
        ):
            self._answer(409, {"kind": "Status", "message": "the object has been modified"})
        else:
            if self.command in ("PUT", "PATCH"):
                self.stored[name] = {**self.stored[name], **body}
            self._answer(200, self.stored.pop(name) if self.command == "DELETE" else self.stored[name])

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 (names of http.server)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (as in http.server)
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.stored, Handler.requests, Handler.patience = {}, [], 1000
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = AUTHORITY.server_context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def client(url: str, token: str = "letmein", ca: bytes = AUTHORITY.ca_pem) -> ApiClient:
    return ApiClient(url, token, ca.decode())


def thing(value: int) -> dict[str, Any]:
    return {"metadata": {"name": "one"}, "value": value}


def test_put_makes_and_then_replaces(url: str) -> None:
    api = client(url)
    api.put(THINGS, thing(1))
    api.put(THINGS, thing(2))
    assert (api.get(f"{THINGS}/one") or {})["value"] == 2
    assert [r.split()[0] for r in Handler.requests] == ["GET", "POST", "GET", "PUT", "GET"]


def test_a_miss_is_none_and_deleting_twice_is_fine(url: str) -> None:
    api = client(url)
    assert api.get(f"{THINGS}/none") is None
    api.put(THINGS, thing(1))
    api.delete(f"{THINGS}/one")
    api.delete(f"{THINGS}/one")
    assert Handler.stored == {}


def test_a_patch_is_a_merge_patch(url: str) -> None:
    api = client(url)
    api.put(THINGS, thing(1))
    api.patch(f"{THINGS}/one", {"value": 3})
    assert Handler.stored["one"]["value"] == 3
    assert Handler.requests[-1] == f"PATCH {THINGS}/one application/merge-patch+json"


def test_a_selector_is_quoted(url: str) -> None:
    client(url).list(THINGS, labels="a=b,c in (d)")
    assert Handler.requests == [f"GET {THINGS}?labelSelector=a%3Db%2Cc+in+%28d%29 None"]


def test_a_kept_connection_that_was_closed_is_opened_again(url: str) -> None:
    api = client(url)
    Handler.patience = 1
    api.get(f"{THINGS}/none")
    assert api.get(f"{THINGS}/none") is None
    assert len(Handler.requests) == 2


def test_a_refusal_says_what_was_asked_and_why(url: str) -> None:
    with pytest.raises(ApiFailure, match=rf"GET {THINGS}/one: 401 Unauthorized") as caught:
        client(url, token="wrong").get(f"{THINGS}/one")
    assert caught.value.status == 401


def test_nobody_there_is_a_failure_with_status_0() -> None:
    with pytest.raises(ApiFailure, match="refused") as caught:
        client("https://127.0.0.1:1").get(THINGS)
    assert caught.value.status == 0


def test_a_server_of_another_authority_is_not_trusted(url: str) -> None:
    stranger = Authority.generate("stranger").ca_pem
    with pytest.raises(ApiFailure, match="CERTIFICATE_VERIFY_FAILED"):
        client(url, ca=stranger).get(THINGS)
    assert Handler.requests == []
