"""The state Submariner should have made on a node: one function, put together from the other modules of this
package."""

from __future__ import annotations

from pytest_submariner.dataplane.ipsets import ipsets
from pytest_submariner.dataplane.links import addresses, fdb, links
from pytest_submariner.dataplane.packetfilter import packet_filter
from pytest_submariner.dataplane.routes import routes, rules
from pytest_submariner.dataplane.sysctls import sysctls
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.model.nodestate import NodeState


def expected_state(node: NodeFacts, view: ClusterView) -> NodeState:
    """What Submariner's kube-proxy handlers and vxlan cable leave on `node`; the role follows from the local Endpoint.

    Holds Submariner's own elements only: devices, packets filters and settings of the CNI, kube-proxy and the kernel
    are not in it, except the connected routes that come with its addresses. TopologyError when the cluster's own
    Cluster object is missing."""
    return NodeState(
        node=node.name,
        links=links(node, view),
        addresses=addresses(node, view),
        fdb=fdb(node, view),
        routes=routes(node, view),
        rules=rules(node, view),
        packet_filters=(packet_filter(node, view),),
        ipsets=ipsets(view),
        sysctls=sysctls(node, view),
    )
