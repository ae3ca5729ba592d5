"""OpenSSH on every node: the holder accepts on loopback ports of the host, a genuine `sshd -i` serves each connection inside the node."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from pathlib import Path

from pytest_submariner.errors import LabUnavailable
from pytest_submariner.lab.accounts import INSIDE, user_name
from pytest_submariner.lab.credentials import Credentials, write_private
from pytest_submariner.lab.network import PATH, Network
from pytest_submariner.lab.spawner import ProcessSpec, Spawner


def find_sshd() -> str:
    """sshd must be called by its absolute path (it executes itself again). LabUnavailable names the package."""
    found = shutil.which("sshd", path=PATH)
    if found is None:
        raise LabUnavailable("sshd is missing: install the package openssh-server")
    return found


class SshAccess:
    """Serves SSH for all nodes on sockets that were bound in the host's network namespace."""

    def __init__(self, folder: Path, listeners: dict[str, socket.socket], network: Network, spawner: Spawner) -> None:
        self._folder = folder
        self._listeners = listeners
        self._network = network
        self._spawner = spawner
        self._sshd = find_sshd()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = os.open(folder / "sshd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def configure(self, credentials: Credentials) -> None:
        """Writes keys, sshd_config, known_hosts and the ssh_config that users name."""
        folder = self._folder
        write_private(folder, "ssh_host_key", credentials.host_key.private.encode())
        identity = write_private(folder, "ssh_identity", credentials.user_key.private.encode())
        write_private(folder, "authorized_keys", f"{credentials.user_key.public} lab\n".encode())
        (folder / "sshd_config").write_text(
            "\n".join(
                (
                    f"HostKey {INSIDE}/ssh_host_key",
                    f"AuthorizedKeysFile {INSIDE}/authorized_keys",
                    "PidFile none",
                    "StrictModes no",
                    "UsePAM no",
                    "UseDNS no",
                    "PasswordAuthentication no",
                    "PermitRootLogin yes",
                    "PrintMotd no",
                    "PrintLastLog no",
                    "MaxSessions 100",
                    f"SetEnv PATH={PATH}",
                    "Subsystem sftp internal-sftp",
                    "",
                )
            )
        )
        known, config = [], []
        for node, listener in self._listeners.items():
            port = listener.getsockname()[1]
            known.append(f"[127.0.0.1]:{port} {credentials.host_key.public}\n")
            config.append(
                f"Host {node}\n  HostName 127.0.0.1\n  Port {port}\n  User {user_name()}\n  IdentityFile {identity}\n"
                f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking yes\n"
            )
        (folder / "known_hosts").write_text("".join(known))
        (folder / "ssh_config").write_text("\n".join(config))

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        for node, listener in self._listeners.items():
            listener.setblocking(False)
            loop.add_reader(listener.fileno(), self._accept, node, listener)

    def _accept(self, node: str, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        task = asyncio.get_running_loop().create_task(self._serve(node, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, node: str, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(True)
            argv = (self._sshd, "-i", "-e", "-f", f"{INSIDE}/sshd_config")
            fd = connection.fileno()
            sandbox = self._network.node_sandbox(node)
            process = await self._spawner.spawn(
                sandbox, ProcessSpec(argv, {"PATH": PATH}), stdin=fd, stdout=fd, stderr=self._log
            )
        await process.wait()
