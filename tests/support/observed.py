"""The observed nodes and objects of tests/dataplane/observed: made by Submariner's own agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dumps
import yaml

from pytest_submariner.model.nodestate import NodeState

OBSERVED = Path(__file__).parents[1] / "dataplane" / "observed"
FILES = {
    "links": "ip-link.json",
    "addresses": "ip-addr.json",
    "routes": "ip-route.json",
    "rules": "ip-rule.json",
    "iptables": "iptables-save.txt",
    "ipsets": "ipset-save.txt",
    "sysctls": "sysctl.txt",
    **{f"fdb-{device}": f"bridge-fdb-{device}.json" for device in dumps.DEVICES},
}
NODES: list[dict[str, Any]] = [
    {
        "metadata": {"name": name, "annotations": {}},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": "fd00::1"},
                {"type": "InternalIP", "address": ip},
            ]
        },
    }
    for name, ip in (("c1-gw", "172.18.0.11"), ("c1-w", "172.18.0.12"))
]


def objects(kind: str) -> list[dict[str, Any]]:
    """API objects by plural: endpoints, clusters, gateways, routeagents."""
    items: list[dict[str, Any]] = yaml.safe_load((OBSERVED / f"{kind}.submariner.io.yaml").read_text())["items"]
    return items


def state(role: str, node: str) -> NodeState:
    """Of the folder `gateway` or `non-gateway`; the latter has no file on vxlan-tunnel."""
    files = {name: OBSERVED / role / file for name, file in FILES.items()}
    return dumps.read({name: file.read_text() for name, file in files.items() if file.exists()}, node)
