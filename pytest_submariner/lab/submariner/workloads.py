"""The DaemonSets of a modelled Submariner: the operator's names, labels and environment, pods that run this
project's own functions."""

from __future__ import annotations

import base64
from typing import Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.lab.spec import ClusterSpec
from pytest_submariner.lab.submariner.access import ApiAccess
from pytest_submariner.lab.submariner.objects import NETWORK_PLUGIN, VERSION
from pytest_submariner.lab.toolsets import PYTHON_CALL

Object = dict[str, Any]
IMAGE: Final = f"localhost/submariner-lab:{VERSION}"
GATEWAY: Final = "submariner-gateway"
ROUTE_AGENT: Final = "submariner-routeagent"
GATEWAY_MAIN: Final = "pytest_submariner.lab.submariner.gateway:main"
ROUTE_AGENT_MAIN: Final = "pytest_submariner.lab.submariner.routeagent:main"
SECRET: Final = "submariner-lab-api"
HEALTH_CHECK_INTERVAL_S: Final = 1
MAX_PACKET_LOSS: Final = 5


def secret(cluster: ClusterSpec, access: ApiAccess) -> Object:
    """Where the pods find the API; what a service account's mounted token is elsewhere."""
    values = {"url": access.urls[cluster.name].encode(), "token": access.token.encode(), "ca.crt": access.ca_pem}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": c.OPERATOR_NAMESPACE},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in values.items()},
    }


def gateway_daemonset(cluster: ClusterSpec, cable: str) -> Object:
    """On nodes labelled `submariner.io/gateway=true`
    (submariner-operator:controllers/submariner/gateway_resources.go)."""
    container = {
        "name": GATEWAY,
        "image": IMAGE,
        "command": [PYTHON_CALL, GATEWAY_MAIN],
        "env": [
            *common_env(cluster),
            *_api_env(),
            {"name": "SUBMARINER_CABLEDRIVER", "value": cable},
            {"name": "SUBMARINER_NATENABLED", "value": "false"},
            {"name": "SUBMARINER_BROKER", "value": "k8s"},
            {"name": "AIR_GAPPED_DEPLOYMENT", "value": "true"},
            {"name": "CE_IPSEC_NATTPORT", "value": str(c.CABLE_PORT)},
        ],
        "ports": [
            {"name": "cable-encaps", "containerPort": c.CABLE_PORT, "hostPort": c.CABLE_PORT, "protocol": "UDP"},
            {
                "name": "natt-discovery",
                "containerPort": c.NAT_DISCOVERY_PORT,
                "hostPort": c.NAT_DISCOVERY_PORT,
                "protocol": "UDP",
            },
        ],
        "securityContext": {
            "privileged": True,
            "allowPrivilegeEscalation": True,
            "runAsNonRoot": False,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
        },
    }
    return daemonset(GATEWAY, {"app": GATEWAY}, container, node_selector={c.GATEWAY_LABEL: "true"})


def route_agent_daemonset(cluster: ClusterSpec) -> Object:
    """On every node (submariner-operator:controllers/submariner/route_agent_resources.go)."""
    container = {
        "name": ROUTE_AGENT,
        "image": IMAGE,
        "command": [PYTHON_CALL, ROUTE_AGENT_MAIN],
        "env": [*common_env(cluster), *_api_env(), {"name": "SUBMARINER_NETWORKPLUGIN", "value": NETWORK_PLUGIN}],
        "securityContext": {
            "privileged": True,
            "allowPrivilegeEscalation": True,
            "runAsNonRoot": False,
            "capabilities": {"add": ["ALL"]},
        },
    }
    return daemonset(ROUTE_AGENT, {"app": ROUTE_AGENT, "component": "routeagent"}, container)


def common_env(cluster: ClusterSpec) -> list[Object]:
    """What gateway and route agent are told alike."""
    values = {
        "SUBMARINER_NAMESPACE": c.OPERATOR_NAMESPACE,
        "SUBMARINER_CLUSTERID": cluster.name,
        "SUBMARINER_CLUSTERCIDR": cluster.pod_cidr,
        "SUBMARINER_SERVICECIDR": cluster.service_cidr,
        "SUBMARINER_GLOBALCIDR": "",
        "SUBMARINER_HEALTHCHECKENABLED": "true",
        "SUBMARINER_HEALTHCHECKINTERVAL": str(HEALTH_CHECK_INTERVAL_S),
        "SUBMARINER_HEALTHCHECKMAXPACKETLOSSCOUNT": str(MAX_PACKET_LOSS),
    }
    fields = {"NODE_NAME": "spec.nodeName", "POD_NAME": "metadata.name"}
    return [
        *({"name": name, "value": value} for name, value in values.items()),
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
    ]


def _api_env() -> list[Object]:
    secrets = {"LAB_API_URL": "url", "LAB_API_TOKEN": "token", "LAB_API_CA": "ca.crt"}
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}} for name, key in secrets.items()
    ]


def daemonset(
    name: str, labels: dict[str, str], container: Object, *, node_selector: dict[str, str] | None = None
) -> Object:
    """A host-network pod on every node, or on those that `node_selector` names; all taints are tolerated."""
    pod: Object = {
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 2,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
    }
    if node_selector is not None:
        pod["nodeSelector"] = node_selector
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": c.OPERATOR_NAMESPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            "updateStrategy": {"type": "RollingUpdate"},
        },
    }
