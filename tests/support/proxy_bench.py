"""A node, a pod on it and a client, in namespaces of their own: what packets do under given iptables rules.

Run as the first process of new user, network and PID namespaces: every one of its children ends with it. Reads one JSON
order per line, answers with one JSON line: {"restore": text} | {"run": [argv]} | {"dial": [from, source, address, port, times]},
which gives one line per time: the source the pod saw and the address it was reached at, or the name of the error.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

NODE_ADDRESS = "10.8.1.1"
POD_ADDRESSES = ("10.8.1.9", "10.8.1.10")
CLIENT_ADDRESSES = ("10.8.2.5", "10.9.1.5")
"""One in the cluster's pod network, one from outside it."""
_SERVE = """
import socket, sys
with socket.create_server(("", 8080), backlog=64) as server:
    print("ready", flush=True)
    while True:
        with server.accept()[0] as peer:
            peer.sendall(f"{peer.getpeername()[0]} {peer.getsockname()[0]}".encode())
"""
_DIAL = """
import socket, sys
source, address, port, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for _ in range(times):
    try:
        with socket.create_connection((address, port), timeout=2, source_address=(source, 0)) as peer:
            print(peer.makefile().read())
    except OSError as error:
        print(type(error).__name__)
"""


def run(*argv: str, given: str = "") -> str:
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def inside(pid: int, *argv: str) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{pid}/ns/net", *argv)


def neighbour(name: str, addresses: tuple[str, ...]) -> int:
    """A namespace behind a veth, routed by the node; returns a process that lives in it."""
    holder = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()  # it runs in its own namespace by now
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
    run("ip", "link", "set", name, "up")
    enter = inside(holder.pid, "ip")
    run(*enter, "link", "set", "lo", "up")
    run(*enter, "link", "set", "eth0", "up")
    for address in addresses:
        run(*enter, "addr", "add", f"{address}/32", "dev", "eth0")
        run("ip", "route", "add", f"{address}/32", "dev", name, "src", NODE_ADDRESS)
    run(*enter, "route", "add", NODE_ADDRESS, "dev", "eth0")
    run(*enter, "route", "add", "default", "via", NODE_ADDRESS)
    return holder.pid


def main() -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "addr", "add", f"{NODE_ADDRESS}/32", "dev", "lo")
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    pids = {"pod": neighbour("pod", POD_ADDRESSES), "client": neighbour("client", CLIENT_ADDRESSES)}
    # Every node has a default route; not back to the client, as a redirect would use up the rate limit of ICMP errors.
    run("ip", "route", "add", "default", "dev", "pod")
    server = subprocess.Popen(inside(pids["pod"], sys.executable, "-c", _SERVE), stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()
    answer("ready")
    for line in sys.stdin:
        answer(obey(json.loads(line), pids))


def answer(text: str) -> None:
    sys.stdout.write(json.dumps(text) + "\n")
    sys.stdout.flush()


def obey(order: dict[str, Any], pids: dict[str, int]) -> str:
    try:
        if "restore" in order:
            return run("iptables-restore", "--noflush", given=order["restore"])
        if "run" in order:
            return run(*order["run"])
        place, *arguments = order["dial"]
        return run(*inside(pids[place], sys.executable, "-c", _DIAL, *map(str, arguments))).strip()
    except RuntimeError as error:
        return f"failed: {error}"


if __name__ == "__main__":
    main()
