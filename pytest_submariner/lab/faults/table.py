"""All faults, in the order of the layers, and what looks like one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
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
from pytest_submariner.lab.faults.fault import Fault, Injection
from pytest_submariner.lab.faults.healthy import LOOK_ALIKES

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
_FAULTS: Final = {fault.id: fault for fault in FAULTS}
_ALL: Final[dict[str, Injection]] = {**_FAULTS, **{item.id: item for item in LOOK_ALIKES}}


def find(name: str) -> Fault:
    """The fault with that id. LabError names the nearest ones."""
    if name in _FAULTS:
        return _FAULTS[name]
    raise _unknown(name, _FAULTS)


def lookup(name: str) -> Injection:
    """The fault or look-alike with that id. LabError names the nearest ones."""
    if name in _ALL:
        return _ALL[name]
    raise _unknown(name, _ALL)


def _unknown(name: str, known: Iterable[str]) -> LabError:
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`submariner-lab faults` lists them"
    return LabError(f"there is no fault {name!r}; {hint}")
