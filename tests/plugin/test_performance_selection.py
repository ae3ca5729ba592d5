"""Who gets to load the clusters, and what thresholds do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_run import Fake

from pytest_submariner.model.performance import Figure, RoundTrips, State
from pytest_submariner.performance import missed
from pytest_submariner.report.performance import lines, properties, table
from pytest_submariner.settings import Settings

LOAD = """
import pytest

@pytest.mark.submariner_performance
def test_throughput():
    pass

@pytest.mark.submariner_performance
def test_latency():
    pass

def test_paths():
    pass
"""
FIGURES = """
import pytest
from pytest_submariner.keys import SESSION
from pytest_submariner.model.performance import Figure, State

class Prober:
    def measure(self, case):
        values = {"c1": 1000.0, "c2": 90.0}
        value = values[case.path.target.cluster]
        return Figure(case.id, State.MEASURED, "detail", "c1-w1", "c2-w1", "10.0.0.1", mbit_s=value, seconds=1.0)

@pytest.fixture(autouse=True)
def figures(request):
    request.config.stash[SESSION].__dict__["load_prober"] = Prober()

@pytest.mark.submariner_performance
@pytest.mark.parametrize("load", ["pod.ngw.c1--pod.gw.c1--tcp--throughput-1", "pod.ngw.c1--pod.ngw.c2--tcp--throughput-1"])
def test_throughput(load, assert_performance):
    assert_performance(load)
"""


@pytest.fixture
def project(fake: Fake) -> pytest.Pytester:
    folder = fake.pytester.mkdir("suites") / "performance"
    folder.mkdir()
    (folder / "test_load.py").write_text(LOAD)
    return fake.pytester


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ((), 1),
        (("suites",), 1),
        (("suites/performance",), 3),
        (("suites/performance/test_load.py",), 3),
        (("suites/performance/test_load.py::test_latency",), 1),
        (("suites", "-k", "throughput"), 1),
        (("suites", "-k", "performance"), 3),
        (("suites", "-k", "not throughput"), 1),
        (("suites", "-k", "paths or latency"), 2),
        (("suites", "-m", "submariner_performance"), 2),
        (("suites", "-m", "not submariner_performance"), 1),
        (("suites", "--submariner-performance"), 3),
        (("suites", "--submariner-min-throughput=5"), 3),
    ],
    ids=lambda value: " ".join(value) or "all" if isinstance(value, tuple) else str(value),
)
def test_load_only_when_asked_for(project: pytest.Pytester, arguments: tuple[str, ...], passed: int) -> None:
    result = project.runpytest(*arguments)
    assert result.parseoutcomes()["passed"] == passed


def test_a_threshold_of_an_ini_file_asks_for_nothing(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nsubmariner_max_latency = 5\n")
    assert project.runpytest("suites").parseoutcomes() == {"passed": 1, "deselected": 2}


def test_the_folder_itself(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.path / "suites" / "performance")
    assert project.runpytest().parseoutcomes() == {"passed": 3}


def test_an_installed_package(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("suites", "suites/performance"):
        (project.path / folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(project.path)
    assert project.runpytest("--pyargs", "suites.performance").parseoutcomes() == {"passed": 3}
    assert project.runpytest("--pyargs", "suites").parseoutcomes()["passed"] == 1


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--submariner-min-throughput=fast", "'fast' (from option) is not an amount; allowed are numbers above 0"),
        ("--submariner-max-latency=0", "'0' (from option) is not an amount"),
        ("--submariner-performance-time=3600", "is too much; allowed are seconds above 0, such as 5 or 2.5, up to 60"),
    ],
)
def test_bad_values_get_one_line(pytester: pytest.Pytester, option: str, text: str) -> None:
    result = pytester.runpytest(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert line.startswith(f"ERROR: {option.partition('=')[0]}: ")
    assert text in line


def test_a_threshold_fails_what_is_between_clusters(fake: Fake) -> None:
    fake.pytester.makepyfile(FIGURES)
    assert fake.pytester.runpytest("--submariner-performance").parseoutcomes() == {"passed": 2}
    result = fake.pytester.runpytest("--submariner-min-throughput=100")
    assert result.parseoutcomes() == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(
        [
            "*throughput-1: measured 90.0 Mbit/s over 1 stream, allowed is at least 100 Mbit/s "
            "(--submariner-min-throughput, from option)",
            "*path: c1-w1 → c2-w1 (10.0.0.1)",
        ]
    )


def test_figures_are_reported(fake: Fake) -> None:
    fake.pytester.makepyfile(FIGURES)
    result = fake.pytester.runpytest("--submariner-performance", "--submariner-results=r.json", "--junitxml=j.xml")
    result.stdout.fnmatch_lines(["throughput, Mbit/s*1 stream*", "in c1    pod ngw → pod gw*1,000"])
    result.stdout.no_fnmatch_line("*NOTHING WAS MEASURED*")
    written = json.loads((fake.pytester.path / "r.json").read_text())["performance"]
    assert [figure["mbit_s"] for figure in written] == [1000.0, 90.0]
    assert 'name="submariner.mbit_s" value="90.0"' in (fake.pytester.path / "j.xml").read_text()


def figure(**changes: object) -> Figure:
    known = {"id": "pod.gw.c1--pod.gw.c2--icmp--latency", "state": State.MEASURED, "source_node": "c1-gw"}
    return Figure(**{**known, **changes})  # type: ignore[arg-type]


TRIPS = RoundTrips(0.1, 0.2, 0.2, 0.3, 4.0, 9.0, samples=100)


def threshold(**values: float) -> Settings:
    from some_settings import settings

    return settings(sources=dict.fromkeys(values, "option"), **values)


def test_latency_is_judged_by_its_99th_percentile() -> None:
    said = missed(figure(round_trips=TRIPS), threshold(max_latency=3.5))
    assert "measured a 99th percentile of 4.000 ms, allowed is at most 3.5 ms (--submariner-max-latency" in said
    assert missed(figure(round_trips=TRIPS), threshold(max_latency=4.0)) == ""
    assert missed(figure(round_trips=TRIPS), threshold(min_throughput=1e9)) == ""


def test_tables_fit_and_name_what_is_missing() -> None:
    wide = "pod.ngw.c10--pod.ngw.c11--tcp--throughput-"
    figures = [
        figure(id=f"{wide}1", mbit_s=123456.0, ratio=1.0),
        figure(id=f"{wide}10", mbit_s=99.0, ratio=0.5, state=State.MISSED),
        figure(round_trips=TRIPS, ratio=12.34),
        figure(id="pod.gw.c2--pod.gw.c1--tcp--latency", state=State.SKIPPED, detail="needs a node"),
    ]
    text = ["".join(span.text for span in line) for line in lines(figures)]
    assert max(map(len, text)) <= 80
    assert text[1] == "c10 → c11 pod ngw → pod ngw           123,456       100%         99        50%"
    assert text[-1] == "skipped 1 figure: needs a node"
    assert (
        table(figures)
        .splitlines()[1]
        .startswith("pod.ngw.c10--pod.ngw.c11--tcp--throughput-1,c1-gw,,measured,123456.0,")
    )
    assert ("submariner.rtt_p99_ms", "4.000") in properties(figures[2])


def test_help_and_marks_tell(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest("--help").stdout.str()
    for option in ("performance", "performance-time", "min-throughput", "max-latency"):
        assert f"--submariner-{option}" in shown
    assert "@pytest.mark.submariner_performance:" in pytester.runpytest("--markers").stdout.str()


def test_the_suite_ships() -> None:
    assert (Path(__file__).parents[2] / "suites" / "performance" / "__init__.py").is_file()
