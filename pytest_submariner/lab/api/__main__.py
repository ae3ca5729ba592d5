"""`python -m pytest_submariner.lab.api --port N`: a server to try things on. Prints the path of a kubeconfig, ends with Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import socket
import sys
import tempfile
from pathlib import Path

from pytest_submariner.lab.api.devcert import self_signed, server_context
from pytest_submariner.lab.api.server import ApiServer


def kubeconfig(cluster: str, server: str, ca_pem: bytes, token: str) -> str:
    """A kubeconfig of one context, named like the cluster."""
    import base64

    import yaml

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode()},
            }
        ],
        "users": [{"name": cluster, "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
    }
    return yaml.safe_dump(document, sort_keys=False)


async def serve(port: int, cluster: str, folder: Path) -> None:
    """Until SIGINT or SIGTERM."""
    cert, key = self_signed(("127.0.0.1",), ("localhost",))
    token = secrets.token_urlsafe(24)
    with socket.create_server(("127.0.0.1", port), backlog=1024) as sock:
        sock.setblocking(False)
        port = sock.getsockname()[1]
        server = ApiServer(
            cluster, tokens={token: "kubernetes-admin"}, service_cidr="100.8.0.0/16", advertise=("127.0.0.1", port)
        )
        await server.start([sock], server_context(cert, key))
        path = folder / "kubeconfig"
        path.touch(0o600)
        path.write_text(kubeconfig(cluster, f"https://127.0.0.1:{port}", cert, token))
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()
        done = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, done.set)
        await done.wait()
        await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pytest_submariner.lab.api", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="loopback port, default any free one")
    parser.add_argument("--cluster", default="c1", help="name of the cluster and of the context")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="submariner-api-") as folder:
        try:
            asyncio.run(serve(options.port, options.cluster, Path(folder)))
        except OSError as why:
            raise SystemExit(f"--port {options.port}: {why.strerror or why}") from None


if __name__ == "__main__":
    main()
