"""The nodes of a lab without its control plane, programmed by the applier: for tests of what it leaves on a node.

Run as a script, it builds the network in namespaces of its own and then reads one JSON order per line and answers
each with one line: {"apply": {cluster: active gateway}} | {"heal": {…}, "nodes": […]} | {"run": [node, argv…]} |
{"dump": node}. It ends with its input."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

from dumps import DEVICES

from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.view import ClusterView
from pytest_submariner.errors import LabError, LabUnavailable
from pytest_submariner.lab.spec import LabSpec
from pytest_submariner.lab.submariner.topology import cluster_of, endpoint_of, node_facts
from pytest_submariner.model.nodestate import NodeState

SPEC = LabSpec.make("bench", clusters=2, gateways=2, workers=1)
MARK = "=+="
COMMANDS = {
    "links": "ip -j -d link",
    "addresses": "ip -j addr",
    "routes": "ip -j route show table all",
    "rules": "ip -j rule",
    "iptables": "iptables-save",
    "ipsets": "ipset save",
    "sysctls": "sysctl net.ipv4.conf.all net.ipv4.conf.cni0",
    **{f"fdb-{device}": f"bridge -j fdb show dev {device}" for device in DEVICES},
    **{f"sysctls-{device}": f"sysctl net.ipv4.conf.{device}" for device in DEVICES},
}


def states(active: dict[str, str]) -> dict[str, NodeState]:
    """What the model expects on every node when these gateways are active."""
    endpoints = tuple(endpoint_of(c, SPEC.node(active[c.name]), SPEC.cable) for c in SPEC.clusters)
    clusters = tuple(cluster_of(c) for c in SPEC.clusters)
    views = {c.name: ClusterView(c.name, endpoints, clusters, tuple(n.ip for n in c.nodes)) for c in SPEC.clusters}
    return {node.name: expected_state(node_facts(node), views[node.cluster]) for node in SPEC.nodes}


class Bench:
    """The test's side of the conversation."""

    def __init__(self) -> None:
        """LabUnavailable when this machine cannot run a lab."""
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
        )
        greeting = self._answer()
        if "unavailable" in greeting:
            raise LabUnavailable(greeting["unavailable"])

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise LabError(answer["error"])
        return answer["done"]

    def run(self, node: str, command: str) -> str:
        """stdout of a command that must succeed."""
        status, out, problem = self.ask(run=[node, *command.split()])
        assert status == 0, f"{command} on {node}: {problem}"
        return str(out)

    def dump(self, node: str) -> dict[str, str]:
        dump: dict[str, str] = self.ask(dump=node)
        return dump

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the bench has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def _environment() -> dict[str, str]:
    # The bench imports what this process imports, installed or not.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _tell(**answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _serve() -> None:
    from pytest_submariner.lab.network import Network
    from pytest_submariner.lab.submariner.apply import Applier

    network = Network(SPEC, _SPAWNER[0])
    _SPAWNER[0].attach()
    await network.build()
    applier = Applier(network)

    async def run(node: str, *argv: str) -> tuple[int, str, str]:
        status, out, problem = await network.run(node, *argv)
        return status, out.decode(), problem.decode()

    async def obey(order: dict[str, Any]) -> Any:
        match order:
            case {"apply": active}:
                return await applier.apply(states(active).values())
            case {"heal": active, "nodes": nodes}:
                return await applier.heal(state for node, state in states(active).items() if node in nodes)
            case {"run": [node, *argv]}:
                return await run(node, *argv)
            case {"dump": node}:
                script = f"; printf {MARK}; ".join(f"{command} 2>/dev/null" for command in COMMANDS.values())
                _, out, _ = await run(node, "sh", "-c", script)
                dump = dict(zip(COMMANDS, out.split(MARK), strict=True))
                dump["sysctls"] += "".join(dump.pop(f"sysctls-{device}") for device in DEVICES)
                return dump
        raise LabError(f"the bench does not know {order}")

    _tell(ready=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            _tell(done=await obey(json.loads(line)))
        except LabError as error:
            _tell(error=str(error))


_SPAWNER: list[Any] = []


def main() -> None:
    from pytest_submariner.lab import world
    from pytest_submariner.lab.spawner import Spawner

    try:
        world.enter_namespaces()
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        world.furnish()
    except LabUnavailable as error:
        _tell(unavailable=str(error))
        sys.exit(0)
    _SPAWNER.append(Spawner.fork())
    asyncio.run(_serve())
    os._exit(0)


if __name__ == "__main__":
    main()
