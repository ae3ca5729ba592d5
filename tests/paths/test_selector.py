"""Label selectors, as kubectl understands them."""

from __future__ import annotations

import pytest

from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.paths.selector import Selector, restrict

LABELS = {"zone": "a", "pool": "x", "submariner.io/gateway": "true", "empty": ""}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("zone=a", True),
        ("zone==a", True),
        ("zone=b", False),
        ("zone!=b", True),
        ("none!=b", True),
        ("zone", True),
        ("none", False),
        ("!none", True),
        ("! zone", False),
        ("submariner.io/gateway=true", True),
        ("zone=a,pool=x", True),
        ("zone=a, pool=y", False),
        ("pool in (x, y)", True),
        ("pool in (y)", False),
        ("pool notin (x,y),zone", False),
        ("none notin (x)", True),
        ("empty=", True),
        ("zone in (a,b),!none", True),
    ],
)
def test_terms(text: str, holds: bool) -> None:
    assert Selector.parse(text).matches(LABELS) is holds


@pytest.mark.parametrize("text", ["", " ", "a=b=c", "a=b,", ",a", "a b", "a in x", "a in (x", "!", "-a", "a=ü"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a label selector"):
        Selector.parse(text)


def test_other_nodes_take_no_part() -> None:
    nodes = tuple(
        Node(name, "c1", Role.NON_GATEWAY, "172.18.0.1", {"zone": zone}) for name, zone in [("n1", "a"), ("n2", "b")]
    )
    world = Topology((Cluster("c1", "c1", None, "c1", nodes),), "test")
    chosen = restrict(world, Selector.parse("zone=b"))
    assert [node.name for node in chosen.cluster("c1").nodes] == ["n2"]
    assert len(world.cluster("c1").nodes) == 2
