"""What each verdict becomes in pytest, in its own words: design's table, row by row."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from fake_run import Fake

from pytest_submariner.model.verdict import Outcome, Verdict

PATH = "pod.gw.c1--pod.gw.c2--tcp"
OTHER = "pod.gw.c1--pod.ngw.c2--tcp"
MEASURED = [v for v in Verdict if v is not Verdict.KNOWN_ISSUE]


@pytest.mark.parametrize("verdict", MEASURED, ids=lambda verdict: verdict.word)
def test_a_parametrized_path(fake: Fake, verdict: Verdict) -> None:
    fake.verdicts({PATH: verdict.word})
    fake.paths()
    result = fake.pytester.runpytest("-rA", "--junitxml=junit.xml", "--submariner-results=results.json")
    outcomes = {"passed": 3}
    if verdict.outcome is not Outcome.PASSED:
        outcomes = {"passed": 2, {"error": "errors"}.get(verdict.outcome.value, verdict.outcome.value): 1}
    assert result.parseoutcomes() == outcomes
    assert result.ret == (1 if verdict.outcome in (Outcome.FAILED, Outcome.ERROR) else 0)
    case = next(c for c in ET.parse(fake.pytester.path / "junit.xml").iter("testcase") if PATH in c.get("name", ""))
    tag = {"failed": "failure", "error": "error", "skipped": "skipped"}.get(verdict.outcome.value)
    assert [child.tag for child in case if child.tag != "properties"] == ([tag] if tag else [])
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert properties["submariner.path_id"] == PATH
    assert properties["submariner.verdict"] == verdict.word
    paths = {p["id"]: p for p in json.loads((fake.pytester.path / "results.json").read_text())["paths"]}
    assert paths[PATH]["verdict"] == verdict.word
    assert paths[PATH]["nodeid"] == f"test_paths.py::test_path[{PATH}]"
    assert len(paths) == 3


@pytest.mark.parametrize("verdict", MEASURED, ids=lambda verdict: verdict.word)
def test_a_path_asked_in_a_test_body(fake: Fake, verdict: Verdict) -> None:
    fake.verdicts({PATH: verdict.word})
    fake.pytester.makepyfile(f"""
        def test_one(assert_path):
            assert_path({PATH!r})
            assert_path({OTHER!r})
    """)
    outcomes = fake.pytester.runpytest().parseoutcomes()
    assert outcomes == {{"error": "errors"}.get(verdict.outcome.value, verdict.outcome.value): 1}


def test_a_failure_says_what_happened_and_how_to_repeat_it(fake: Fake) -> None:
    fake.verdicts({PATH: "blocked"})
    fake.paths()
    result = fake.pytester.runpytest()
    result.stdout.fnmatch_lines(
        [
            f"E *PathFailed: {PATH}: blocked (should be reachable, is not)",
            f"E *expected ok; detail of {PATH}",
            "E *by hand: ping -c1 example",
            f"FAILED test_paths.py::test_path[[]{PATH}] - *PathFailed: *",
        ]
    )
    assert "def judge" not in result.stdout.str()


def test_what_we_cannot_tell_is_never_called_a_failure(fake: Fake) -> None:
    fake.verdicts({PATH: "inconclusive"})
    fake.paths()
    fake.pytester.runpytest("-rA").stdout.fnmatch_lines(
        [f"ERROR test_paths.py::test_path[[]{PATH}] - *ProbeInconclusive*"]
    )


def test_one_question_covers_all_selected_paths(fake: Fake) -> None:
    fake.paths()
    fake.pytester.runpytest("-k", "ngw")
    assert fake.logged("measure") == [f"{OTHER} pod.ngw.c1--pod.gw.c2--tcp"]
    assert len(fake.logged("topology")) == 1
    assert len(fake.logged("close")) == 1


def test_reach_asserts_nothing_and_can_ask_again(fake: Fake) -> None:
    fake.verdicts({PATH: "blocked"})
    fake.pytester.makepyfile(f"""
        def test_reach(reach):
            assert reach({PATH!r}).verdict.word == "blocked"
            assert reach({PATH!r}, fresh=True).verdict.word == "blocked"
    """)
    assert fake.pytester.runpytest().ret == 0
    assert fake.logged("measure") == [PATH, PATH]
    assert fake.logged("finished") == [f"{PATH} blocked"]


KNOWN = f"""
    import pytest

    @pytest.mark.submariner_known_issue("https://example.org/issues/7", reason="drops it")
    @pytest.mark.parametrize("path", [{PATH!r}])
    def test_path(assert_path, path):
        assert_path(path)
"""


def test_a_known_issue_fails_as_expected(fake: Fake) -> None:
    fake.verdicts({PATH: "blocked"})
    fake.pytester.makepyfile(KNOWN)
    result = fake.pytester.runpytest("-rx", "--submariner-results=results.json")
    assert result.parseoutcomes() == {"xfailed": 1}
    assert result.ret == 0
    result.stdout.fnmatch_lines(["XFAIL * - known issue https://example.org/issues/7: drops it*"])
    (path,) = json.loads((fake.pytester.path / "results.json").read_text())["paths"]
    assert path["verdict"] == "known-issue"
    assert path["extra"] == {"measured": "blocked", "known_issue": "https://example.org/issues/7"}


def test_a_known_issue_that_passes_again_fails(fake: Fake) -> None:
    fake.pytester.makepyfile(KNOWN)
    result = fake.pytester.runpytest()
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["*XPASS(strict)*known issue https://example.org/issues/7*"])


def test_a_known_issue_does_not_hide_that_nobody_could_ask(fake: Fake) -> None:
    fake.verdicts({PATH: "error"})
    fake.pytester.makepyfile(KNOWN)
    assert fake.pytester.runpytest().parseoutcomes() == {"errors": 1}


def test_a_path_whose_item_ended_early_is_in_the_results_with_the_reason(fake: Fake) -> None:
    fake.pytester.makepyfile(f"""
        import pytest

        @pytest.mark.submariner_requires(gateways=2)
        @pytest.mark.parametrize("path", [{PATH!r}])
        def test_two_gateways(assert_path, path):
            assert_path(path)

        @pytest.fixture
        def broken():
            raise RuntimeError("no luck")

        @pytest.mark.parametrize("path", [{OTHER!r}])
        def test_broken(broken, assert_path, path):
            assert_path(path)
    """)
    fake.pytester.runpytest("--submariner-results=results.json")
    paths = {p["id"]: p for p in json.loads((fake.pytester.path / "results.json").read_text())["paths"]}
    assert (paths[PATH]["verdict"], paths[PATH]["detail"]) == ("skipped", "needs gateways >= 2; c1 has 1")
    assert (paths[OTHER]["verdict"], paths[OTHER]["detail"]) == ("error", "no luck")


def test_nothing_measured_is_exit_1_and_said_in_words(fake: Fake) -> None:
    fake.pytester.makepyfile(f"""
        import pytest

        @pytest.mark.submariner_requires(cable_driver="wireguard")
        @pytest.mark.parametrize("path", [{PATH!r}])
        def test_path(assert_path, path):
            assert_path(path)
    """)
    result = fake.pytester.runpytest()
    assert result.parseoutcomes() == {"skipped": 1}
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*NOTHING WAS MEASURED: 1 path skipped*", "*needs cable_driver wireguard; c1 has vxlan*"]
    )


def test_tests_that_measure_nothing_by_nature_are_not_blamed(fake: Fake) -> None:
    fake.pytester.makepyfile("def test_clusters(clusters): assert list(clusters) == ['c1', 'c2']")
    assert fake.pytester.runpytest().ret == 0


def test_a_result_file_that_cannot_be_written_is_exit_1(fake: Fake) -> None:
    fake.paths()
    fake.write("occupied", "")
    result = fake.pytester.runpytest("--submariner-results=occupied/results.json")
    assert result.ret == 1
    result.stderr.fnmatch_lines(["submariner: cannot write *occupied*"])
    assert "Traceback" not in result.stderr.str()
