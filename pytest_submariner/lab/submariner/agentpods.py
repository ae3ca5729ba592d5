"""The DaemonSets of the genuine agents: the operator's names, labels and environment (submariner-operator:controllers/submariner)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.lab.sandboxes import PYTHON
from pytest_submariner.lab.spec import ClusterSpec
from pytest_submariner.lab.submariner import rbac, workloads
from pytest_submariner.lab.submariner.foundation import Broker
from pytest_submariner.lab.submariner.objects import NETWORK_PLUGIN
from pytest_submariner.lab.toolsets import Toolset

Object = dict[str, Any]
GATEWAY_PROGRAM: Final = "submariner-gateway"
ROUTE_AGENT_PROGRAM: Final = "submariner-route-agent"
PROGRAMS: Final = (GATEWAY_PROGRAM, ROUTE_AGENT_PROGRAM)
IMAGE: Final = "submariner-agents"
_FOLDER: Final = "/run/toolset/agents"
_CONFIG: Final = "/run/submariner"
_ROOT: Final = {"runAsUser": 0, "privileged": True, "allowPrivilegeEscalation": True}


def toolset(folder: Path) -> Toolset:
    """The image of the agents' pods: `folder` is bound, so a binary replaced in it is what the next pod runs."""
    return Toolset(IMAGE, f"the agents of {folder}", (_FOLDER, PYTHON), binds={_FOLDER: str(folder.resolve())})


def kubeconfig_secret(account: str) -> str:
    return f"{account}-kubeconfig"


def daemonsets(cluster: ClusterSpec, cable: str, broker: Broker, version: str) -> tuple[Object, Object]:
    """Gateway and route agent; `version` is what the programs call themselves."""
    image = f"localhost/{IMAGE}:{version}"
    return _gateway(cluster, cable, broker, image), _route_agent(cluster, image)


def _gateway(cluster: ClusterSpec, cable: str, broker: Broker, image: str) -> Object:
    values = {
        "SUBMARINER_CABLEDRIVER": cable,
        "SUBMARINER_NATENABLED": "false",
        "SUBMARINER_DEBUG": "false",
        "SUBMARINER_BROKER": "k8s",
        "AIR_GAPPED_DEPLOYMENT": "true",
        "CE_IPSEC_NATTPORT": str(c.CABLE_PORT),
        "BROKER_K8S_APISERVER": broker.inside,
        "BROKER_K8S_APISERVERTOKEN": broker.token,
        "BROKER_K8S_INSECURE": "true",
        "BROKER_K8S_REMOTENAMESPACE": c.BROKER_NAMESPACE,
    }
    # The entry point of the gateway's image does this before it starts the engine (submariner:package/submariner.sh).
    script = (
        f"echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects; exec {GATEWAY_PROGRAM} -kubeconfig {_CONFIG}/kubeconfig"
    )
    container = {**_container(workloads.GATEWAY, cluster, values, image), "command": ["sh", "-c", script]}
    labels = {"app": workloads.GATEWAY}
    return _daemonset(workloads.GATEWAY, labels, container, rbac.GATEWAY_ACCOUNT, {c.GATEWAY_LABEL: "true"})


def _route_agent(cluster: ClusterSpec, image: str) -> Object:
    container = {
        **_container(workloads.ROUTE_AGENT, cluster, {"SUBMARINER_NETWORKPLUGIN": NETWORK_PLUGIN}, image),
        "command": [ROUTE_AGENT_PROGRAM, "-kubeconfig", f"{_CONFIG}/kubeconfig"],
    }
    labels = {"app": workloads.ROUTE_AGENT, "component": "routeagent"}
    return _daemonset(workloads.ROUTE_AGENT, labels, container, rbac.ROUTE_AGENT_ACCOUNT, {})


def _container(name: str, cluster: ClusterSpec, values: dict[str, str], image: str) -> Object:
    return {
        "name": name,
        "image": image,
        "env": [*workloads.common_env(cluster), *({"name": key, "value": value} for key, value in values.items())],
        "securityContext": _ROOT,
        "volumeMounts": [{"name": "kubeconfig", "mountPath": _CONFIG, "readOnly": True}],
    }


def _daemonset(
    name: str, labels: dict[str, str], container: Object, account: str, node_selector: dict[str, str]
) -> Object:
    made = workloads.daemonset(name, labels, container, node_selector=node_selector or None)
    pod = made["spec"]["template"]["spec"]
    pod["serviceAccountName"] = account
    pod["volumes"] = [{"name": "kubeconfig", "secret": {"secretName": kubeconfig_secret(account)}}]
    return made
