"""The specs of `subctl verify --only connectivity` that a path of ours repeats.

Spec ids are ours (`TCP-01` … `GWS-01`), numbered in the order of registration in `submariner:test/e2e/dataplane/`;
their titles are in `compare/`. The stock specs start in c1, except the last TCP one, which is the reverse direction.
"""

from __future__ import annotations

COUNTERPARTS: dict[str, str] = {
    "TCP-01": "pod.ngw.c1--pod.ngw.c2--tcp",
    "TCP-02": "pod.ngw.c1--pod.gw.c2--tcp",
    "TCP-03": "pod.gw.c1--pod.ngw.c2--tcp",
    "TCP-04": "pod.gw.c1--pod.gw.c2--tcp",
    "TCP-05": "pod.ngw.c1--svc.ngw.c2--tcp",
    "TCP-06": "pod.ngw.c1--svc.gw.c2--tcp",
    "TCP-07": "pod.gw.c1--svc.ngw.c2--tcp",
    "TCP-08": "pod.gw.c1--svc.gw.c2--tcp",
    "TCP-09": "hostpod.ngw.c1--pod.ngw.c2--tcp",
    "TCP-10": "hostpod.gw.c1--pod.ngw.c2--tcp",
    "TCP-11": "pod.ngw.c2--pod.ngw.c1--tcp",
    "GWS-01": "gateway.gw.c1--gateway.gw.c2--status",
}
"""Spec id to path id, in the order of the stock suite."""

_SPECS = {path: spec for spec, path in COUNTERPARTS.items()}


def subctl_spec(path_id: str) -> str | None:
    """The stock spec this path repeats (`TCP-01`), or None."""
    return _SPECS.get(path_id)
