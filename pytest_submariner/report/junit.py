"""What goes into JUnit: properties of a test case, and of the whole suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.recorder import Recorder

if TYPE_CHECKING:
    import pytest

PREFIX = "submariner."


def properties(result: PathResult) -> list[tuple[str, str]]:
    """For `item.user_properties`: all text, in fixed order; what is not known is left out.

    `submariner.path_id` joins reports of different runs and tools: test names may change, it does not.
    """
    source, _, rest = result.id.partition("--")
    values = {
        "path_id": result.id,
        "verdict": result.verdict.word,
        "expected": result.expected.value,
        "from": result.source_node or source,
        "to": result.target_node or rest.partition("--")[0],
        "attempts": str(result.attempts),
        "root_cause": result.root_cause,
        "rtt_ms": None if result.rtt_ms is None else f"{result.rtt_ms:.3f}",
        "subctl_spec": result.subctl_spec,
        "source_seen": result.source_seen,
        "answered": None if result.answered is None else str(result.answered).lower(),
    }
    return [(PREFIX + name, value) for name, value in values.items() if value]


def group_properties(results: Sequence[PathResult]) -> list[tuple[str, str]]:
    """For an item that asked many paths: how many, and how many of each verdict. The paths themselves are in results.json."""
    found = Counter(result.verdict for result in results)
    counts = [(verdict.word, found[verdict]) for verdict in Verdict if found[verdict]]
    return [(f"{PREFIX}{name}", str(number)) for name, number in [("paths", len(results)), *counts]]


def suite_properties(recorder: Recorder) -> list[tuple[str, str]]:
    """What holds for the whole run: provider, and the versions of every cluster."""
    values = [("provider", recorder.provider)]
    for cluster in recorder.topology.clusters if recorder.topology else ():
        values += [
            (f"{cluster.position}.cluster_id", cluster.cluster_id),
            (f"{cluster.position}.submariner", cluster.submariner_version),
            (f"{cluster.position}.kubernetes", cluster.kubernetes_version),
            (f"{cluster.position}.cni", cluster.network_plugin),
            (f"{cluster.position}.cable_driver", cluster.cable_driver),
        ]
    return [(PREFIX + name, value) for name, value in values if value]


def add_suite_properties(config: pytest.Config, recorder: Recorder) -> None:
    """Put `suite_properties` into the file `--junitxml` names; call it before pytest's own sessionfinish writes it.

    Not through the fixture `record_testsuite_property`: what xdist workers record with it is lost (pytest #7767).
    """
    from _pytest.junitxml import xml_key

    writer = config.stash.get(xml_key, None)
    if writer is not None:
        for name, value in suite_properties(recorder):
            writer.add_global_property(name, value)
