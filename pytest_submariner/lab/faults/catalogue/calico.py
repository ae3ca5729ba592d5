"""What Calico has on a cluster, as far as it matters to Submariner: pools of addresses, and the masquerade that follows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_submariner.lab.faults.steps import Object, ObjectAdded, ObjectChanged, Place, Shell, Step

_GROUP: Final = "crd.projectcalico.org"
_DEFINITION: Final[Object] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"ippools.{_GROUP}"},
    "spec": {
        "group": _GROUP,
        "scope": "Cluster",
        "names": {"kind": "IPPool", "listKind": "IPPoolList", "plural": "ippools", "singular": "ippool"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
_NAMES: Final = {"$RPOD": "submariner-remote-pods", "$RSVC": "submariner-remote-services"}


def remote_pool(cidr: str, *, disabled: bool = True, nat_outgoing: bool = False) -> ObjectAdded:
    """A pool for one CIDR of the other cluster (submariner:pkg/routeagent_driver/handlers/calico/ippool_handler.go)."""
    return _pool(_NAMES[cidr], cidr, disabled=disabled, nat_outgoing=nat_outgoing)


def calico(pools: Sequence[ObjectAdded], *, known: Sequence[str]) -> tuple[Step, ...]:
    """Calico's objects, with `pools` beside the cluster's own; and its masquerade on every node of the cluster: of what
    leaves its pods for none of the CIDRs `known` as pools (projectcalico/felix:rules/nat.go)."""
    members = "; ".join(f"ipset add cali40all-ipam-pools {cidr}" for cidr in ("$LPOD", *known))
    rule = "-m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst -j MASQUERADE"
    return (
        ObjectAdded("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _DEFINITION),
        _pool("default-ipv4-ippool", "$LPOD", disabled=False, nat_outgoing=True),
        *pools,
        ObjectChanged(
            "/apis/submariner.io/v1alpha1/namespaces/$NS/submariners/submariner",
            {"status": {"networkPlugin": "calico"}},
            subresource="status",
        ),
        Shell(
            "ipset create cali40masq-ipam-pools hash:net; ipset create cali40all-ipam-pools hash:net;"
            f" ipset add cali40masq-ipam-pools $LPOD; {members};"
            " iptables -t nat -N cali-POSTROUTING; iptables -t nat -N cali-nat-outgoing;"
            f" iptables -t nat -A cali-nat-outgoing {rule};"
            " iptables -t nat -A cali-POSTROUTING -j cali-nat-outgoing; iptables -t nat -I POSTROUTING 1 -j cali-POSTROUTING",
            "iptables -t nat -D POSTROUTING -j cali-POSTROUTING; iptables -t nat -F cali-POSTROUTING;"
            " iptables -t nat -X cali-POSTROUTING; iptables -t nat -F cali-nat-outgoing;"
            " iptables -t nat -X cali-nat-outgoing;"
            " for name in masq all; do for try in $(seq 20); do"
            " ipset destroy cali40$name-ipam-pools 2> /dev/null && break; sleep 0.1; done; done",
            at=Place.CLUSTER,
        ),
    )


def _pool(name: str, cidr: str, *, disabled: bool, nat_outgoing: bool) -> ObjectAdded:
    spec = {"cidr": cidr, "disabled": disabled, "natOutgoing": nat_outgoing, "ipipMode": "Never", "vxlanMode": "Never"}
    body = {"apiVersion": f"{_GROUP}/v1", "kind": "IPPool", "metadata": {"name": name}, "spec": spec}
    return ObjectAdded(f"/apis/{_GROUP}/v1/ippools", body)
