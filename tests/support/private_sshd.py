"""OpenSSH's own server on a free port of loopback, with keys and configuration of its own, for the user who runs the
tests."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class PrivateSshd:
    """A running sshd, and the files a client needs. `write_config` makes an ssh_config whose Host `node` is this
    server."""

    folder: Path
    port: int

    @property
    def identity(self) -> Path:
        return self.folder / "identity"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def write_config(self, name: str, *lines: str, **options: str) -> str:
        """An ssh_config; `options` replace or add keywords of Host node, `lines` follow as they are."""
        wanted = {
            "HostName": "127.0.0.1",
            "Port": str(self.port),
            "User": getpass.getuser(),
            "IdentityFile": str(self.identity),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            **options,
        }
        text = "Host node\n" + "".join(f"  {k} {v}\n" for k, v in wanted.items() if v) + "\n".join(lines) + "\n"
        path = self.folder / name
        path.write_text(text)
        return str(path)


def keygen(path: Path, kind: str = "ed25519") -> str:
    """A key pair without passphrase; the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", path], check=True)
    return path.with_name(path.name + ".pub").read_text()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[PrivateSshd]:
    """Skips, saying why, where sshd cannot be started."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("sshd is not installed (openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Debian's sshd insists on its privilege separation folder
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host_public = keygen(folder / "host_key")
    (folder / "authorized_keys").write_text(keygen(folder / "identity"))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_public}")
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nAllowTcpForwarding "
        "yes\n"
    )
    log = folder / "sshd.log"
    server = subprocess.Popen([program, "-D", "-e", "-f", config], stderr=log.open("wb"), stdin=subprocess.DEVNULL)
    try:
        _wait(port, server, log)
        yield PrivateSshd(folder, port)
    finally:
        server.terminate()
        server.wait(5)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 5
    while True:
        if server.poll() is not None:
            pytest.skip(f"sshd does not start here: {log.read_text().strip()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline, "sshd did not listen in time"
        time.sleep(0.05)
