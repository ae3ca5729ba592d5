"""Devices, forwarding entries, addresses, routes, rules, packet filter, ipsets and kernel settings of every node.

What Submariner should have made is computed from the Endpoint, Cluster, Gateway and Node objects and the node's role. What belongs
to others (the CNI, kube-proxy, the kernel) is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_submariner.nodecheck import NodeCase


def test_node_is_as_the_objects_demand(case: NodeCase, assert_node_state: Callable[[NodeCase], object]) -> None:
    """Nothing of Submariner's is missing, different, or left over. A failure says what was expected, what was found, and what
    that means for traffic; a node that cannot be read is an error."""
    assert_node_state(case)
