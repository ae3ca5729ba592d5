"""Reading another server with a token and an authority that were found somewhere."""

from __future__ import annotations

import ssl
import tempfile
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from scripted_api import Answer, Handler, Script

from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.kube.account import Account, Untrusted
from pytest_submariner.kube.errors import AccessDenied, ApiError
from pytest_submariner.lab.api.devcert import self_signed

TOKEN = "planted-token-4711"
ENDPOINTS = "GET /apis/submariner.io/v1/namespaces/submariner-k8s-broker/endpoints"
CERTIFICATE, KEY = self_signed(["127.0.0.1"])
FOREIGN, _ = self_signed(["127.0.0.1"])


@pytest.fixture
def tls_server(script: Script) -> Iterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(CERTIFICATE + KEY)
        file.flush()
        context.load_cert_chain(file.name)
    handler = type("ScriptedHandler", (Handler,), {"script": script})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"https://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()


def ask(account: Account) -> tuple[dict[str, object], ...]:
    return account.list("endpoints.submariner.io", "submariner-k8s-broker")


def test_objects_of_a_namespace(script: Script, tls_server: str) -> None:
    script.on(ENDPOINTS, Answer({"items": [{"metadata": {"name": "e1"}}]}))
    assert ask(Account(tls_server, TOKEN, CERTIFICATE)) == ({"metadata": {"name": "e1"}},)
    assert ask(Account(tls_server, TOKEN, insecure=True)) == ({"metadata": {"name": "e1"}},)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused(script: Script, tls_server: str, status: int) -> None:
    script.on(ENDPOINTS, Answer({"kind": "Status", "message": "Unauthorized"}, status))
    with pytest.raises(AccessDenied, match=f"answers {status} to the token on record: Unauthorized") as raised:
        ask(Account(tls_server, TOKEN, CERTIFICATE))
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(("authority", "said"), [(FOREIGN, "certificate verify failed"), (b"no PEM", "is none")])
def test_an_authority_that_did_not_sign_the_certificate(tls_server: str, authority: bytes, said: str) -> None:
    with pytest.raises(Untrusted, match=said):
        ask(Account(tls_server, TOKEN, authority))


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(NodeUnreachable, match="cannot be reached from here") as raised:
        ask(Account("https://127.0.0.1:1", TOKEN, CERTIFICATE))
    assert not isinstance(raised.value, Untrusted | AccessDenied)


def test_an_answer_that_is_no_list(script: Script, tls_server: str) -> None:
    script.on(ENDPOINTS, Answer("<html>a proxy</html>"))
    with pytest.raises(ApiError, match="the answer is no list"):
        ask(Account(tls_server, TOKEN, CERTIFICATE))
