"""What goes into JUnit: properties of a test case, and of the whole suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import failure

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pytest

PREFIX = "submariner."
_PATH_ID, _ROOT_CAUSE = f"{PREFIX}path_id", f"{PREFIX}root_cause"


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


def complete(config: pytest.Config, recorder: Recorder) -> None:
    """Put `suite_properties` into the file `--junitxml` names, and into its test cases what was found out after they ended (with
    pytest-xdist causes are looked for once, at the end). Call it before pytest's own sessionfinish writes the file.

    Not through the fixture `record_testsuite_property`: what xdist workers record with it is lost (pytest #7767).
    """
    from _pytest.junitxml import xml_key

    writer = config.stash.get(xml_key, None)
    if writer is None:
        return
    for name, value in suite_properties(recorder):
        writer.add_global_property(name, value)
    for reporter in writer.node_reporters_ordered:
        add_cause(reporter.to_xml(), recorder)


def add_cause(case: Element, recorder: Recorder) -> None:
    """Name the root cause of a failing path in its `<testcase>`: as a property, and in the message, unless it is there."""
    from xml.etree.ElementTree import SubElement

    from _pytest.junitxml import bin_xml_escape

    found = {p.get("name"): p for p in case.iter("property")}
    path_id = found[_PATH_ID].get("value") if _PATH_ID in found else None
    result = recorder.result(path_id) if path_id else None
    if result is None or result.root_cause is None or _ROOT_CAUSE in found:
        return
    properties = case.find("properties")
    assert properties is not None  # it holds the path id
    SubElement(properties, "property", name=_ROOT_CAUSE, value=result.root_cause)
    message = bin_xml_escape(failure(result, recorder.causes(result.id)))
    for problem in (*case.iter("failure"), *case.iter("error")):
        head, _, _ = problem.get("message", "").partition(result.id)
        problem.set("message", head + message)
        problem.text = f"{problem.text or ''}\n\n{message}"
