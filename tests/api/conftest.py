"""The embedded API server for all tests here, and a genuine one where its programs are."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import api_servers
import peers
import pytest


@pytest.fixture(scope="session")
def embedded() -> Iterator[api_servers.Server]:
    with api_servers.embedded_server() as server:
        yield server


@pytest.fixture(scope="session")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_servers.Server]:
    with api_servers.genuine_server(peers.kube_apiserver(), tmp_path_factory.mktemp("genuine")) as server:
        yield server


@pytest.fixture(scope="session", params=["embedded", "genuine"])
def server(request: pytest.FixtureRequest) -> api_servers.Server:
    """Every server there is: what is tested with it holds for a kube-apiserver, too."""
    found: api_servers.Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def namespace(server: api_servers.Server) -> str:
    """A new namespace on `server`."""
    name = f"test-{uuid4().hex[:8]}"
    code, body = server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert code == 201, body
    return name
