"""Manifests of what a run creates in a cluster: a namespace, probe pods, Services. Pure.

Pod-network probe pods satisfy Pod Security `restricted`; their echo requests leave through ping sockets, which the (safe) sysctl
`net.ipv4.ping_group_range` of the pod allows them. Host-network pods cannot be `restricted`: they share the node's network
and its sysctls, so they need root with the one capability NET_RAW, for echo requests and for the capture of the vx-submariner
ping. The namespace is therefore labelled `privileged`.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from pytest_submariner.kube.ownership import EXPIRES_ANNOTATION, OWNER, OWNER_LABEL

RUN_LABEL = "pytest-submariner/run"
PROBE_LABEL = "pytest-submariner/probe"
"""Seconds since 1970: whoever finds the namespace later than that may remove it."""
LIFETIME_S = 7200
UID = 10000
_NO_PYTHON = 99
NEEDS_PYTHON = f"command -v python3 >/dev/null || exit {_NO_PYTHON}"
"""Shell that ends a command where the image has no Python; `lacks_python` tells that end from others."""
_EXPANDED = re.compile(r"\$\$|\$\([^(]")
CONTAINER = "probe"
FIRST_PORT, PORTS = 29000, 1000
"""Listener ports: below the NodePort range (30000-32767) and Linux's ephemeral ports (from 32768), free of Submariner's own."""


@dataclass(frozen=True, order=True)
class Place:
    """Where a probe pod runs: one per node and networking. `cluster` is the position.

    Paths between two pods of one node need a second one, the peer: a pod that asks its own address never leaves its loopback.
    """

    cluster: str
    node: str
    host_network: bool = False
    peer: bool = False

    @property
    def pod(self) -> str:
        """The pod's name; short and unique however long the node's name is."""
        return f"{'host' if self.host_network else 'peer' if self.peer else 'pod'}-{_slug(self.node)}"

    @property
    def service(self) -> str:
        return f"svc-{self.pod}"

    def __str__(self) -> str:
        return f"pod {self.pod} on {self.node}"


@cache
def _slug(node: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", node.lower()).strip("-")
    return slug if slug == node and len(slug) <= 40 else f"{slug[:40].strip('-')}-{zlib.crc32(node.encode()):08x}"


def namespace_name(run_id: str) -> str:
    return f"submariner-conformance-{run_id}"


def listener_port(run_id: str) -> int:
    """One port for all listeners of a run; other runs take others, because host-network listeners share their node's ports."""
    return FIRST_PORT + zlib.crc32(run_id.encode()) % PORTS


def agent_command(*arguments: str) -> list[str]:
    """How the agent of a probe pod is started, as an argv for exec: that in Python, or in an image without it the one in shell. The
    former needs no installed package: not looking for any saves a fifth of its start (-I -S)."""
    return ["sh", "-c", agent_script(*arguments)]


def agent_script(*arguments: str) -> str:
    """The same as a line of shell."""
    words = " ".join(arguments)
    return (
        f'command -v python3 >/dev/null && exec python3 -I -S -u -c "{_LEAN}" {words}; '
        f'exec sh -c "$SUBMARINER_PROBE_SHELL" sh {words}'
    )


_LEAN = """
import marshal, os
reader, writer = os.pipe()
if os.fork() == 0:
    code = compile(os.environ['SUBMARINER_PROBE_AGENT'], 'agent', 'exec')
    with open(writer, 'wb') as out:
        marshal.dump(code, out)
    os._exit(0)
os.close(writer)
with open(reader, 'rb') as made:
    code = marshal.load(made)
os.wait()
exec(code)
"""
"""Compiles the agent in a child: the compiler's memory, a third of all an agent has, would stay with it for its life."""


def conversation_command() -> list[str]:
    """How a conversation is begun, as an argv for exec: with the listener that runs there already, by its named pipes (`agent.py`),
    which takes a few programs of a millisecond each; where it has none, with an agent of its own."""
    return ["sh", "-c", f"{_BY_PIPES}{agent_script('connect')}"]


_BY_PIPES = """\
tries=0
while [ $tries -lt 60 ] && command -v python3 >/dev/null && command -v mkfifo >/dev/null; do
    for room in /dev/shm /tmp /run; do
        for room in "$room"/submariner-probe-*-"$SUBMARINER_PROBE_NAME"; do
            [ -p "$room/ask" ] || continue
            head -n 1 >"$room/$$.request" && mkfifo "$room/$$.answer" && echo $$ >"$room/ask" && exec cat "$room/$$.answer"
            exit 1
        done
    done
    sleep 0.05
    tries=$((tries + 1))
done
"""
"""A listener that is only starting gets three seconds: another Python would take as long, and make it slower."""


def watcher_command() -> list[str]:
    """The same for the watcher, which only host-network pods carry."""
    return ["sh", "-c", f'{NEEDS_PYTHON}; exec python3 -I -S -u -c "$SUBMARINER_PROBE_WATCHER"']


def lacks_python(error: Exception) -> bool:
    """Whether that is how a command which `NEEDS_PYTHON` ended."""
    return f"ended with status {_NO_PYTHON}" in str(error)


@cache
def source_of(module: str) -> str:
    """The text of a self-contained module of this package, as it travels in an environment variable."""
    return _unexpanded(f"{module}.py")


@cache
def shell_source() -> str:
    """The text of the agent for images without Python."""
    return _unexpanded("agent.sh")


def _unexpanded(file: str) -> str:
    text = (resources.files(__package__) / file).read_text(encoding="utf-8")
    if _EXPANDED.search(text):
        raise ValueError(f"{file} has $(NAME) or $$ in it, which Kubernetes would expand in an environment variable")
    return text


def namespace(run_id: str, now: float) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace_name(run_id),
            "labels": {
                **_owned(run_id),
                "pod-security.kubernetes.io/enforce": "privileged",
                "security.openshift.io/scc.podSecurityLabelSync": "false",
            },
            "annotations": {EXPIRES_ANNOTATION: str(int(now + LIFETIME_S))},
        },
    }


def pod(place: Place, run_id: str, image: str) -> dict[str, Any]:
    """A listener that connectors are started in by exec. It ends by itself after the lifetime, whoever forgets it."""
    port = listener_port(run_id)
    variables = {
        "SUBMARINER_PROBE_NAME": place.pod,
        "SUBMARINER_PROBE_AGENT": source_of("agent"),
        "SUBMARINER_PROBE_SHELL": shell_source(),
        "MALLOC_ARENA_MAX": "1",  # glibc would give each of the agent's threads a heap of its own
    }
    if place.host_network:
        variables["SUBMARINER_PROBE_WATCHER"] = source_of("watcher")
    security, privileges = _host_security() if place.host_network else _restricted_security()
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": place.pod,
            "namespace": namespace_name(run_id),
            "labels": {**_owned(run_id), PROBE_LABEL: place.pod},
        },
        "spec": {
            "nodeName": place.node,
            "hostNetwork": place.host_network,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFETIME_S,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": security,
            "containers": [
                {
                    "name": CONTAINER,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": agent_command("listen", str(port)),
                    "env": [{"name": name, "value": value} for name, value in variables.items()]
                    + ([_OWN_ADDRESS] if place.host_network else []),
                    "ports": [{"containerPort": port, "protocol": protocol} for protocol in ("TCP", "UDP")],
                    "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                    "securityContext": privileges,
                }
            ],
        },
    }


_OWN_ADDRESS = {
    "name": "SUBMARINER_PROBE_ADDRESS",
    "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
}
"""For the agent in shell: nc answers a datagram from the address it is bound to, and of a node's several only one was asked."""


def service(place: Place, run_id: str) -> dict[str, Any]:
    """A ClusterIP with this one pod behind it, on the port of its listener."""
    port = listener_port(run_id)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": place.service, "namespace": namespace_name(run_id), "labels": _owned(run_id)},
        "spec": {
            "type": "ClusterIP",
            "selector": {PROBE_LABEL: place.pod},
            "ports": [
                {"name": protocol.lower(), "port": port, "targetPort": port, "protocol": protocol}
                for protocol in ("TCP", "UDP")
            ],
        },
    }


def _owned(run_id: str) -> dict[str, str]:
    return {OWNER_LABEL: OWNER, RUN_LABEL: run_id}


def _restricted_security() -> tuple[dict[str, Any], dict[str, Any]]:
    """Security contexts of pod and container that Pod Security `restricted` admits."""
    in_pod = {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "seccompProfile": {"type": "RuntimeDefault"},
        "sysctls": [{"name": "net.ipv4.ping_group_range", "value": f"{UID} {UID}"}],
    }
    return in_pod, {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _host_security() -> tuple[dict[str, Any], dict[str, Any]]:
    return {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}, {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]},
    }
