"""Gateways with encrypted cables, from dumps in the formats of `ip xfrm` and `wg`.

The kernel at hand has neither ESP nor WireGuard, so nothing here was recorded on a node: the dumps are written after what the agents
program (submariner:pkg/cable/libreswan/libreswan.go, pkg/cable/wireguard/driver.go) and how iproute2 and wg print it, and are read by
the readers that read nodes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from observations import Change, changed, healthy, told

from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.published import Published, all_published
from pytest_submariner.nodestate import tunnels
from pytest_submariner.nodestate.section import Section

_POLICY = """\
src {src} dst {dst}
\tdir {direction} priority 1757393 ptype main
\ttmpl src {outer_src} dst {outer_dst}
\t\tproto esp reqid {reqid} mode tunnel
"""
_STATE = """\
src {src} dst {dst}
\tproto esp spi 0x{spi:08x}({spi}) reqid {reqid}(0x00000001) mode tunnel
\treplay-window 0 seq 0x00000000 flag af-unspec (0x00100000)
{encap}\tlifetime config:
\t  limit: soft (INF)(bytes), hard (INF)(bytes)
\tlifetime current:
\t  {octets}(bytes), {packets}(packets)
"""
KEY = {"c1": "kfZJcDnEOoFMTFXcFLgzQyrPBJEGqRIX1dWUlN+4mTs=", "c2": "PxlQ6lEu0WyPbA1iT+vEXxcxPpB0v7NA2oXu0u5yqRE="}
"""Public ones."""
OTHER_KEY = "Zt0dJcFh0k8uHk2Rr8Q0h6k5Nq5wG7mE3oYb1uVv1lA="


def ipsec(*, packets: int = 40, encap: dict[str, int] | None = None) -> Observation:
    """Two clusters with libreswan, all pairs of subnets established; `encap`: UDP source port of what comes from a cluster (then all is
    in UDP)."""
    seen = healthy(cable="libreswan")
    for here, there in both_ways(seen):
        pairs = list(product(_own(here).subnets, _own(there).subnets))
        states = "".join(_states(here, there, number, packets, encap) for number, _ in enumerate(pairs, 1))
        policies = "".join(_policies(here, there, number, *pair) for number, pair in enumerate(pairs, 1))
        seen = changed(
            seen,
            f"{here.position}-gw",
            xfrm_states=tunnels.xfrm_states(Section(states)),
            xfrm_policies=tunnels.xfrm_policies(Section(policies)),
        )
    return seen


def _policies(here: Any, there: Any, reqid: int, own: str, peer: str) -> str:
    outward = {"outer_src": here.own.private_ip, "outer_dst": there.own.private_ip}
    inward = {"outer_src": there.own.private_ip, "outer_dst": here.own.private_ip}
    return "".join(
        (
            _POLICY.format(src=own, dst=peer, direction="out", reqid=reqid, **outward),
            _POLICY.format(src=peer, dst=own, direction="fwd", reqid=reqid, **inward),
            _POLICY.format(src=peer, dst=own, direction="in", reqid=reqid, **inward),
        )
    )


def _states(here: Any, there: Any, reqid: int, packets: int, encap: dict[str, int] | None) -> str:
    def one(source: Any, destination: Any, spi: int) -> str:
        port = (encap or {}).get(source.position, 4500)
        udp = f"\tencap type espinudp sport {port} dport 4500 addr 0.0.0.0\n" if encap else ""
        ends = {"src": source.own.private_ip, "dst": destination.own.private_ip}
        return _STATE.format(**ends, spi=spi, reqid=reqid, encap=udp, packets=packets, octets=packets * 84)

    return one(here, there, 100 + reqid) + one(there, here, 200 + reqid)


def wireguard(
    *,
    allowed: dict[str, Iterable[str]] | None = None,
    keys: dict[str, str] | None = None,
    ports: dict[str, int] | None = None,
    handshake: int = 1_732_279_990,
) -> Observation:
    """Two clusters with WireGuard; `allowed`: other AllowedIPs on a cluster's gateway; `keys`: what a gateway's device has instead of
    the key in its Endpoint; `ports`: the UDP port a cluster's packets come from."""
    seen = with_endpoints(healthy(cable="wireguard"), "c1", backend_config=lambda c: {**c, "publicKey": KEY["c1"]})
    seen = with_endpoints(seen, "c2", backend_config=lambda c: {**c, "publicKey": KEY["c2"]})
    for here, there in both_ways(seen):
        subnets = ",".join((allowed or {}).get(here.position, _own(there).subnets))
        address = f"{_own(there).private_ip}:{(ports or {}).get(there.position, 4500)}"
        dump = f"submariner {(keys or KEY).get(here.position, KEY[here.position])} 4500\n"
        dump += f"submariner {KEY[there.position]} {address} {subnets} {handshake} 9184 7512\n"
        seen = changed(seen, f"{here.position}-gw", wireguard=tunnels.wireguard(Section(dump)))
    return seen


def with_endpoints(seen: Observation, cluster: str, **spec: Change) -> Observation:
    """With another spec in the Endpoint of `cluster`, in every cluster; a new value, or a function from the old one."""

    def patch(item: dict[str, Any]) -> dict[str, Any]:
        if item["spec"]["cluster_id"] != cluster:
            return item
        made = copy.deepcopy(item)
        made["spec"] |= {key: value(made["spec"].get(key)) if callable(value) else value for key, value in spec.items()}
        return made

    for position in seen.objects:
        seen = told(seen, position, endpoints=lambda found: [patch(item) for item in found])
    return seen


def connected(seen: Observation, position: str, **connection: Any) -> Observation:
    """With another connection in the active Gateway of a cluster (`usingIP`, `status`, `statusMessage`)."""

    def patch(gateway: dict[str, Any]) -> dict[str, Any]:
        made = copy.deepcopy(gateway)
        for each in made["status"]["connections"]:
            each.update(connection)
        return made

    return told(seen, position, gateways=lambda gateways: map(patch, gateways))


def logged(seen: Observation, position: str, container: str, *lines: str) -> Observation:
    objects = replace(seen.objects[position], logs={container: lines})
    return replace(seen, objects={**seen.objects, position: objects})


def _own(side: Published) -> Endpoint:
    assert side.own is not None
    return side.own


def both_ways(seen: Observation) -> Iterator[tuple[Published, Published]]:
    one, other = all_published(seen)
    yield one, other
    yield other, one
