"""What transports talk to, on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import exec_standin
import private_sshd
import pytest


@pytest.fixture(scope="session")
def exec_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[exec_standin.ExecServer]:
    with exec_standin.running(tmp_path_factory.mktemp("exec-server")) as server:
        yield server


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[private_sshd.PrivateSshd]:
    with private_sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server
