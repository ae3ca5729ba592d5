"""A scripted API server, and a client of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_api import Handler, Script

from pytest_submariner.kube.client import KubeClient


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_submariner.kube.rest.BACKOFF_S", 0.005)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[str]:
    handler = type("ScriptedHandler", (Handler,), {"script": script})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()


@pytest.fixture
def write_kubeconfig(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, contexts: dict[str, str], current: str | None = None) -> Path:
        """A kubeconfig whose contexts point at servers."""
        document: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": c, "cluster": {"server": s}} for c, s in contexts.items()],
            "users": [{"name": c, "user": {"token": f"token-of-{c}"}} for c in contexts],
            "contexts": [{"name": c, "context": {"cluster": c, "user": c}} for c in contexts],
        }
        if current:
            document["current-context"] = current
        path = tmp_path / name
        path.write_text(yaml.safe_dump(document))
        return path

    return write


@pytest.fixture
def client(server: str, write_kubeconfig: Callable[..., Path]) -> Iterator[KubeClient]:
    client = KubeClient(str(write_kubeconfig("config", {"c1": server})), "c1")
    yield client
    client.close()
