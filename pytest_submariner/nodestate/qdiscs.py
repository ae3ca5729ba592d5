"""Queueing disciplines with what they dropped, from `tc -s -j qdisc`."""

from __future__ import annotations

import json

from pytest_submariner.model.nodestate import Qdisc
from pytest_submariner.nodestate.section import Section, json_list

QDISCS = "tc -s -j qdisc show"


def qdiscs(section: Section) -> tuple[Qdisc, ...]:
    """One per device and place; `text` is empty for those without options (noqueue)."""
    return tuple(
        Qdisc(
            entry.get("dev", ""),
            entry["kind"],
            json.dumps(entry["options"], sort_keys=True) if entry.get("options") else "",
            int(entry.get("drops", 0)),
            int(entry.get("overlimits", 0)),
        )
        for entry in json_list(section, "tc")
        if "kind" in entry
    )
