"""Properties of test cases and of the suite in JUnit files."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_submariner.model.result import PathResult
from pytest_submariner.report.junit import properties, suite_properties
from pytest_submariner.report.recorder import Recorder

pytest_plugins = ["pytester"]


def test_golden(recorder: Recorder, golden: Callable[[str, str], None]) -> None:
    shown = {r.id: dict(properties(r)) for r in recorder.results if r.verdict.word != "ok"}
    golden(
        "junit-properties.json",
        json.dumps({"suite": dict(suite_properties(recorder)), "cases": shown}, indent=1) + "\n",
    )


def test_unknown_values_are_left_out(blocked: PathResult) -> None:
    names = [name for name, _ in properties(blocked)]
    assert "submariner.rtt_ms" not in names
    assert "submariner.root_cause" not in names
    assert ("submariner.attempts", "2") in properties(blocked)


def test_path_that_never_got_a_node_names_its_sides(blocked: PathResult) -> None:
    unplaced = dict(properties(replace(blocked, source_node="", target_node="")))
    assert (unplaced["submariner.from"], unplaced["submariner.to"]) == ("hostpod.ngw.c1", "pod.ngw.c2")


def test_they_arrive_in_the_file(pytester: pytest.Pytester, blocked: PathResult) -> None:
    pytester.makeconftest(
        f"""
        import pytest
        from pytest_submariner.model.result import PathResult
        from pytest_submariner.report import junit
        from pytest_submariner.report.recorder import Recorder

        def pytest_runtest_setup(item):
            item.user_properties.extend(junit.properties(PathResult.from_dict({blocked.to_dict()!r})))

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(session):
            junit.complete(session.config, Recorder(provider="lab"))
        """
    )
    pytester.makepyfile("def test_path(): pass")
    pytester.runpytest_subprocess("-p", "no:submariner", "--junitxml=junit.xml").assert_outcomes(passed=1)
    suite = ET.parse(pytester.path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert [(p.get("name"), p.get("value")) for p in suite.findall("properties/property")] == [
        ("submariner.provider", "lab")
    ]
    found = [(p.get("name"), p.get("value")) for p in suite.findall("testcase/properties/property")]
    assert found == properties(blocked)
