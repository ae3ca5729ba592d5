"""Healthy states that look like faults, those a lab can be put into.

What a lab shows anyway needs no row: a ping between 240.x addresses that fails, nodes that know no 240.x neighbour but the
gateway, a gateway's entry for itself, its main table without remote routes, counters that stand still, neighbours that are STALE."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.catalogue.calico import calico, remote_pool
from pytest_submariner.lab.faults.catalogue.kubernetes import GROUP
from pytest_submariner.lab.faults.catalogue.netfilter import POLICY_GONE
from pytest_submariner.lab.faults.fault import LookAlike, Role
from pytest_submariner.lab.faults.steps import (
    DeviceChanged,
    EveryNamespace,
    Object,
    ObjectChanged,
    Place,
    Shell,
    fabric_drops,
    nft,
    running,
    sysctl,
)

_SUBMARINER: Final = "/apis/submariner.io/v1alpha1/namespaces/$NS/submariners/submariner"
_ANYBODY: Final[Object] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "own-and-remote"},
    "spec": {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": cidr}}]} for cidr in ("$LPOD", "$RPOD", "172.18.0.0/16")],
    },
}
_JUMBO: Final = Shell(
    'for port in $(ip -o link show master underlay | cut -d: -f2 | cut -d@ -f1); do ip link set "$port" mtu 9000; done',
    'for port in $(ip -o link show master underlay | cut -d: -f2 | cut -d@ -f1); do ip link set "$port" mtu 1500; done',
    at=Place.FABRIC,
)
_ONE_WAY: Final = """import socket, time
flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
flow.bind(("", 42424))
while True:
    flow.sendto(b"no answer wanted", (sys.argv[2], 42424))
    ready()
    time.sleep(2)"""
_SAME_ADDRESS: Final = """ip addr del $WV/8 dev vx-submariner
ip addr add $OWV/8 dev vx-submariner
for cidr in $RPOD $RSVC; do ip route replace $cidr via $GV dev vx-submariner proto static; done"""
_gateway: Final = partial(LookAlike, role=Role.GATEWAY)
_worker: Final = partial(LookAlike, role=Role.NON_GATEWAY)
_cluster: Final = partial(LookAlike, role=Role.CLUSTER)

LOOK_ALIKES: Final[tuple[LookAlike, ...]] = (
    LookAlike(
        "healthy-fabric-drops-class-e",
        Role.FABRIC,
        "the fabric drops 240.0.0.0/4",
        (fabric_drops("-p IPv4 --ip-src 240.0.0.0/4"), fabric_drops("-p IPv4 --ip-dst 240.0.0.0/4")),
        why="class-E addresses exist inside VXLAN only",
    ),
    _gateway(
        id="healthy-rpfilter-off",
        title="the gateway's vx-submariner has no reverse-path filter",
        steps=(sysctl("net/ipv4/conf/vx-submariner/rp_filter", "0"),),
        why="only a strict filter drops what Submariner carries",
    ),
    _gateway(
        id="healthy-rpfilter-strict-by-default",
        title="the reverse-path filter is strict for all devices, loose for those of Submariner and the CNI",
        steps=(sysctl("net/ipv4/conf/$UL/rp_filter", "2"), sysctl("net/ipv4/conf/all/rp_filter", "1")),
        why="the higher of the two values counts, and 2 is loose",
    ),
    _worker(
        id="healthy-rpfilter-strict-on-worker-overlay",
        title="the reverse-path filter of a worker's vx-submariner is strict",
        steps=(sysctl("net/ipv4/conf/vx-submariner/rp_filter", "1"),),
        why="replies come by the CNI: nothing enters there",
    ),
    LookAlike(
        "healthy-jumbo-frames",
        Role.FABRIC,
        "nodes, fabric and Submariner's devices carry jumbo frames",
        (
            _JUMBO,
            Shell(
                "ip link set $UL mtu 9000; ip link set vx-submariner mtu 8950",
                "ip link set vx-submariner mtu 1450; ip link set $UL mtu 1500",
                at=Place.EVERY_NODE,
            ),
            Shell("ip link set vxlan-tunnel mtu 8950", "ip link set vxlan-tunnel mtu 1450", at=Place.BOTH_GATEWAYS),
        ),
        why="Submariner's devices are 50 bytes below the node's own, whatever that is",
    ),
    _worker(
        id="healthy-same-overlay-address",
        title="two nodes that are no gateways derive the same 240.x address",
        steps=(DeviceChanged("vx-submariner", _SAME_ADDRESS),),
        needs=("OTHER_WORKER",),
        why="nothing is sent to a worker's 240.x address but answers to its own ARP",
    ),
    _worker(
        id="healthy-cordoned-node",
        title="the node is cordoned",
        steps=(ObjectChanged("/api/v1/nodes/$NODE", {"spec": {"unschedulable": True}}),),
        why="agents tolerate it, and packets know nothing of it",
    ),
    _gateway(
        id="healthy-gateway-on-control-plane",
        title="the gateway is a control-plane node",
        steps=(
            ObjectChanged(
                "/api/v1/nodes/$GATEWAY", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}
            ),
            ObjectChanged(
                "/api/v1/nodes/$GATEWAY",
                {"spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}},
            ),
        ),
        why="agents tolerate all taints",
    ),
    _cluster(
        id="healthy-calico-pools",
        title="Calico has disabled pools for the remote CIDRs, and its chains come before Submariner's",
        steps=calico([remote_pool(cidr) for cidr in ("$RPOD", "$RSVC")], known=("$RPOD", "$RSVC")),
        why="what goes to a pool's CIDR is not masqueraded; that they are disabled keeps their addresses from local pods",
    ),
    _cluster(
        id="healthy-generic-plugin",
        title="the CNI is none that Submariner knows by name",
        steps=(ObjectChanged(_SUBMARINER, {"status": {"networkPlugin": "generic"}}, subresource="status"),),
        why="whatever routes pods and owns an address of the pod CIDR on each node will do",
    ),
    _cluster(
        id="healthy-nat-enabled",
        title="NAT is allowed for, and not used",
        steps=(ObjectChanged(_SUBMARINER, {"spec": {"natEnabled": True}, "status": {"natEnabled": True}}),),
        why="gateways that reach each other at their private addresses use those",
    ),
    _gateway(
        id="healthy-rules-repeated",
        title="several policy rules lead to table 150",
        steps=(
            Shell(
                "for n in $(seq 151 170); do ip rule add prio $n lookup 150; done",
                "for n in $(seq 151 170); do ip rule del prio $n; done",
            ),
        ),
        why="the first that matches does the work (submariner issue 868)",
    ),
    _worker(
        id="healthy-both-iptables-backends",
        title="both iptables backends have tables, one of them nothing that acts",
        steps=(
            Shell(
                "iptables-legacy -t nat -N DOCKER; iptables-legacy -t filter -N DOCKER-USER",
                "iptables-legacy -t nat -X DOCKER; iptables-legacy -t filter -X DOCKER-USER",
            ),
        ),
        why="chains that nobody enters change no packet",
    ),
    _gateway(
        id="healthy-forward-policy-drop",
        title="the gateway's FORWARD policy is DROP, behind rules that accept pods and services of all clusters",
        steps=(
            Shell(
                "for cidr in $LPOD $RPOD $LSVC $RSVC; do iptables -A FORWARD -s $cidr -j ACCEPT;"
                " iptables -A FORWARD -d $cidr -j ACCEPT; done; iptables -P FORWARD DROP",
                "iptables -P FORWARD ACCEPT; for cidr in $LPOD $RPOD $LSVC $RSVC; do"
                " iptables -D FORWARD -s $cidr -j ACCEPT; iptables -D FORWARD -d $cidr -j ACCEPT; done",
            ),
        ),
        why="the policy is for what no rule decides",
    ),
    _worker(
        id="healthy-one-way-datagrams",
        title="a program on the node sends datagrams to the other cluster that nobody answers",
        steps=(running("one-way", _ONE_WAY, "$RCIP"),),
        why="an unanswered flow is what its sender wanted; it leaves with the node's CNI address, as it should",
    ),
    _worker(
        id="healthy-route-agent-status-old",
        title="the route agent still says that the other cluster cannot be reached",
        steps=(
            ObjectChanged(
                f"{GROUP}/routeagents/$NODE",
                {"status": {"remoteEndpoints": [{"status": "error", "statusMessage": "late", "spec": {}}]}},
            ),
        ),
        modes=("modelled",),
        why="it pings once a minute, and is up to six minutes behind",
    ),
    _cluster(
        id="healthy-networkpolicy-admits-remote",
        title="NetworkPolicies let in the pods of every cluster",
        steps=(POLICY_GONE, EveryNamespace("networking.k8s.io/v1/networkpolicies", (_ANYBODY,))),
        why="a policy that covers the sources blocks none of them",
    ),
    _gateway(
        id="healthy-counting-table",
        title="a table of nftables counts what is forwarded",
        steps=(nft("counting", "inet", "filter hook forward priority -150", "ip daddr $RPOD counter", "counter"),),
        why="rules without a verdict change nothing",
    ),
)
