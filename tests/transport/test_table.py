"""Every transport, the same behaviour: over a stand-in of the API's exec (v5 and v4), a private sshd and a stub of
docker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import docker_stub
import pytest
from exec_standin import ExecServer
from private_sshd import PrivateSshd
from transport_table import TABLE

from pytest_submariner.transport.base import Transport
from pytest_submariner.transport.docker import DockerTransport
from pytest_submariner.transport.pod import RouteAgentTransport
from pytest_submariner.transport.ssh import SshTransport


@pytest.fixture(scope="module")
def pod_v5(exec_server: ExecServer) -> Transport:
    return RouteAgentTransport("node-v5", exec_server.client)


@pytest.fixture(scope="module")
def pod_v4(exec_server: ExecServer) -> Transport:
    return RouteAgentTransport("node-v4", exec_server.client)


@pytest.fixture(scope="module")
def ssh(sshd: PrivateSshd) -> Iterator[Transport]:
    transport = SshTransport("node", sshd.write_config("table"))
    yield transport
    transport.close()


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    folder = tmp_path_factory.mktemp("docker")
    docker_stub.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        yield DockerTransport("node")


@pytest.mark.parametrize("behaviour", TABLE, ids=lambda b: b.__name__)
@pytest.mark.parametrize("kind", ["pod_v5", "pod_v4", "ssh", "docker"])
def test_behaviour(kind: str, behaviour: Callable[[Transport], None], request: pytest.FixtureRequest) -> None:
    behaviour(request.getfixturevalue(kind))
