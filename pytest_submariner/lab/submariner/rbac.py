"""What Submariner's agents may do: service accounts, roles and bindings (submariner-operator:config/rbac)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pytest_submariner.dataplane.constants import BROKER_NAMESPACE, OPERATOR_NAMESPACE

Object = dict[str, Any]
Rule = tuple[str, Sequence[str], Sequence[str]]
"""API group, resources, verbs."""
GATEWAY_ACCOUNT: Final = "submariner-gateway"
ROUTE_AGENT_ACCOUNT: Final = "submariner-routeagent"
BROKER_ACCOUNT: Final = "cluster-client"
_READ: Final = ("get", "list", "watch")
_ALL: Final = ("*",)
_WRITE: Final = ("create", "get", "list", "watch", "patch", "update", "delete")
_API: Final = "rbac.authorization.k8s.io/v1"

_ROLES: Final[dict[str, tuple[Rule, ...]]] = {
    GATEWAY_ACCOUNT: (
        ("", ("pods", "services", "endpoints", "events", "configmaps"), _ALL),
        ("apps", ("daemonsets",), _ALL),
        ("submariner.io", ("*",), _ALL),
        ("coordination.k8s.io", ("leases",), ("get", "list", "watch", "create", "update", "delete")),
    ),
    ROUTE_AGENT_ACCOUNT: (
        ("", ("pods", "services", "endpoints", "events", "configmaps", "secrets"), _ALL),
        ("apps", ("daemonsets",), _ALL),
        ("submariner.io", ("*",), _ALL),
    ),
    BROKER_ACCOUNT: (
        ("submariner.io", ("clusters", "endpoints"), _WRITE),
        ("submariner.io", ("brokers",), ("get", "list")),
        ("multicluster.x-k8s.io", ("*",), _WRITE),
        ("discovery.k8s.io", ("endpointslices", "endpointslices/restricted"), (*_WRITE, "deletecollection")),
        ("", ("secrets", "configmaps"), ("get", "list", "watch")),
    ),
}
_CLUSTER_ROLES: Final[dict[str, tuple[Rule, ...]]] = {
    GATEWAY_ACCOUNT: (
        ("", ("pods", "services", "nodes", "configmaps"), _READ),
        ("submariner.io", ("endpoints", "gateways", "clusters"), _READ),
    ),
    ROUTE_AGENT_ACCOUNT: (
        ("", ("pods", "services", "configmaps", "endpoints"), ("get", "list")),
        ("", ("nodes",), _READ),
    ),
}


def agents() -> list[tuple[str, str, Object]]:
    """(API version, resource, object) for the agents of one cluster."""
    made: list[tuple[str, str, Object]] = []
    for account in (GATEWAY_ACCOUNT, ROUTE_AGENT_ACCOUNT):
        made += _namespaced(account, OPERATOR_NAMESPACE)
        made.append((_API, "clusterroles", _role("ClusterRole", account, None, _CLUSTER_ROLES[account])))
        made.append((_API, "clusterrolebindings", _binding("ClusterRole", account, OPERATOR_NAMESPACE, None)))
    return made


def broker() -> list[tuple[str, str, Object]]:
    """(API version, resource, object) for those who speak to the broker."""
    return _namespaced(BROKER_ACCOUNT, BROKER_NAMESPACE)


def _namespaced(account: str, namespace: str) -> list[tuple[str, str, Object]]:
    head = {"metadata": {"name": account, "namespace": namespace}}
    return [
        ("v1", "serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", **head}),
        (_API, "roles", _role("Role", account, namespace, _ROLES[account])),
        (_API, "rolebindings", _binding("Role", account, namespace, namespace)),
    ]


def _role(kind: str, name: str, namespace: str | None, rules: Sequence[Rule]) -> Object:
    return {
        "apiVersion": _API,
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "rules": [
            {"apiGroups": [g], "resources": list(resources), "verbs": list(verbs)} for g, resources, verbs in rules
        ],
    }


def _binding(kind: str, account: str, account_namespace: str, namespace: str | None) -> Object:
    return {
        "apiVersion": _API,
        "kind": f"{kind}Binding",
        "metadata": {"name": account, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
    }
