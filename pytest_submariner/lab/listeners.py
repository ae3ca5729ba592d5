"""The lab's only traces in the host's network namespace: listening sockets on loopback, bound before the lab leaves it."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field

from pytest_submariner.errors import LabError
from pytest_submariner.lab.spec import LabSpec


@dataclass
class Listeners:
    """One per cluster for its API, one per node for SSH."""

    api: dict[str, socket.socket] = field(default_factory=dict)
    ssh: dict[str, socket.socket] = field(default_factory=dict)

    @classmethod
    def bind(cls, spec: LabSpec, api_port: int | None = None) -> Listeners:
        """Cluster N listens on `api_port`+N-1, or on a free port when None. LabError when one is taken."""
        made = cls()
        try:
            for cluster in spec.clusters:
                made.api[cluster.name] = _listen(0 if api_port is None else api_port + cluster.index - 1)
            for node in spec.nodes:
                made.ssh[node.name] = _listen(0)
        except BaseException:
            made.close()
            raise
        return made

    def ports(self) -> dict[str, int]:
        """The API's port on 127.0.0.1 by cluster."""
        return {name: int(listener.getsockname()[1]) for name, listener in self.api.items()}

    def close(self) -> None:
        for listener in (*self.api.values(), *self.ssh.values()):
            listener.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OverflowError:
        raise LabError(f"--api-port: {port} is no port; allowed are 1 to 65535") from None
    except OSError as error:
        why = "it is taken by another process" if error.errno == errno.EADDRINUSE else error.strerror
        raise LabError(
            f"--api-port: cannot listen on 127.0.0.1:{port}: {why}; leave the option out for a free port"
        ) from error
