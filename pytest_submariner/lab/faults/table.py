"""All faults, in the order of the layers."""

from __future__ import annotations

import difflib
from typing import Final

from pytest_submariner.errors import LabError
from pytest_submariner.lab.faults.catalogue import (
    cable,
    cni,
    host,
    kubernetes,
    mtu,
    netfilter,
    overlay,
    routing,
    underlay,
)
from pytest_submariner.lab.faults.fault import Fault

FAULTS: Final[tuple[Fault, ...]] = (
    *kubernetes.FAULTS,
    *cable.FAULTS,
    *overlay.FAULTS,
    *routing.FAULTS,
    *netfilter.FAULTS,
    *cni.FAULTS,
    *mtu.FAULTS,
    *host.FAULTS,
    *underlay.FAULTS,
)
_BY_ID: Final = {fault.id: fault for fault in FAULTS}


def find(name: str) -> Fault:
    """The fault with that id. LabError names the nearest ones."""
    if name in _BY_ID:
        return _BY_ID[name]
    near = difflib.get_close_matches(name.lower().replace("_", "-"), _BY_ID, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`submariner-lab faults` lists them"
    raise LabError(f"there is no fault {name!r}; {hint}")
