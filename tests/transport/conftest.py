"""Stand-ins for what transports talk to."""

from __future__ import annotations

from collections.abc import Iterator

import exec_standin
import pytest


@pytest.fixture(scope="session")
def exec_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[exec_standin.ExecServer]:
    with exec_standin.running(tmp_path_factory.mktemp("exec-server")) as server:
        yield server
