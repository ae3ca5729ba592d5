"""The summary section, as people read it on 80 columns."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from _pytest.config import get_config
from _pytest.terminal import TerminalReporter

from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.cause_lines import SHOWN_ROWS
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.terminal import lines, summary

REPORTS = [("results", "reports/results.json"), ("junit", "reports/junit.xml")]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The section through pytest's own reporter, 80 columns, no colour unless asked."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "PY_COLORS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def through_pytest(recorder: Recorder, *arguments: str) -> str:
        config = get_config()
        config.parse(["-p", "no:cacheprovider", *arguments])
        out = io.StringIO()
        reporter = TerminalReporter(config, out)
        summary(reporter, recorder, REPORTS)
        return out.getvalue()

    return through_pytest


def plain(recorder: Recorder, verbosity: int = 0, width: int = 80, again: str = "") -> str:
    said = lines(recorder, REPORTS, verbosity=verbosity, width=width, again=again)
    return "\n".join("".join(span.text for span in line) for line in said)


@pytest.fixture
def healthy(recorder: Recorder) -> Recorder:
    """The paths of `recorder` in a run where each is as expected."""
    run = Recorder(provider="lab", started=recorder.started, planned=35, duration_s=9.5, topology=recorder.topology)
    for result in recorder.results:
        if result.verdict is not Verdict.SKIPPED:
            by_design = result.verdict is Verdict.BY_DESIGN
            run.add(result if by_design else replace(result, verdict=Verdict.OK, attempts=1))
    return run


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("verbosity", [-1, 0, 1], ids=["quiet", "normal", "verbose"])
def test_golden(recorder: Recorder, golden: Callable[[str, str], None], verbosity: int, width: int) -> None:
    name = {-1: "quiet", 0: "normal", 1: "verbose"}[verbosity]
    golden(f"summary-{name}-{width}.txt", plain(recorder, verbosity, width, "pytest --submariner-lab demo") + "\n")


@pytest.mark.parametrize("width", [80, 140])
def test_golden_of_a_healthy_run(healthy: Recorder, golden: Callable[[str, str], None], width: int) -> None:
    golden(f"summary-healthy-{width}.txt", plain(healthy, 0, width, "pytest") + "\n")


def test_only_ids_and_commands_are_wider_than_the_terminal(recorder: Recorder, snat_missing: Finding) -> None:
    wordy = Evidence(EvidenceKind.STATE, "a sentence that goes on and on, " * 9)
    recorder.add_finding(replace(snat_missing, node="c1-w2", evidence=(wordy,), remedy="do this, then that; " * 12))
    recorder.note("something about this run that takes more words than fit into a line of eighty columns, by far")
    wide = [line for line in plain(recorder, again="pytest").splitlines() if len(line) > 80]
    assert [line for line in wide if "again:" not in line] == []


def test_paths_between_two_ends_are_a_row_that_a_shell_expands(blocked: PathResult) -> None:
    recorder = Recorder()
    for protocol in ("tcp", "udp", "icmp"):
        recorder.add(replace(blocked, id=f"pod.ngw.c1--pod.gw.c2--{protocol}"))
    assert "X pod.ngw.c1--pod.gw.c2--{icmp,tcp,udp}  blocked" in plain(recorder)


def test_the_command_asks_one_failing_path_again(recorder: Recorder, blocked: PathResult) -> None:
    shown = plain(recorder, again="pytest --submariner-lab demo")
    assert f"  again: pytest '{blocked.nodeid}' --submariner-lab demo" in shown
    assert "again:" not in plain(recorder, -1, again="pytest")


def test_no_line_of_the_matrices_is_wider_than_80_columns(recorder: Recorder) -> None:
    everything = Recorder()
    for kind in ("pod", "hostpod", "svc", "node", "vx"):
        for place in ("gw", "pgw", "ngw"):
            for protocol in ("tcp", "udp", "icmp"):
                path_id = f"hostpod.pgw.c1--{kind}.{place}.c1--{protocol}"
                everything.add(replace(recorder.results[0], id=path_id, verdict=Verdict.OK, detail=""))
    assert max(map(len, plain(everything).splitlines())) <= 80


def test_section_goes_through_pytest_reporter(recorder: Recorder, show: Callable[..., str]) -> None:
    shown = show(recorder)
    assert shown.splitlines()[0].strip("=").strip() == "submariner"
    assert plain(recorder) in shown
    assert "\x1b[" not in shown


def test_colours_do_not_change_the_text(recorder: Recorder, show: Callable[..., str]) -> None:
    import re

    shown = show(recorder, "--color=yes")
    assert "\x1b[" in shown
    assert plain(recorder) in re.sub(r"\x1b\[[0-9;]*m", "", shown)


def test_gateway_status_alone_starts_the_section_without_a_gap(recorder: Recorder) -> None:
    alone = Recorder()
    alone.add(next(r for r in recorder.results if r.id.startswith("gateway")))
    assert plain(alone).splitlines()[0] == "gateway status c1 → c2  .  connected, 0.2 ms"


def test_run_without_paths_says_nothing(show: Callable[..., str]) -> None:
    assert show(Recorder()) == ""


def test_run_that_measured_nothing_says_so_first(blocked: PathResult) -> None:
    recorder = Recorder(planned=2)
    recorder.add(replace(blocked, id="pod.gw.c1--pod.gw.c2--tcp", verdict=Verdict.SKIPPED, detail="no lab here"))
    recorder.add(replace(blocked, id="pod.gw.c1--pod.gw.c2--udp", verdict=Verdict.ERROR, detail="no way to c1-gw"))
    for verbosity in (-1, 0, 1):
        first = plain(recorder, verbosity).splitlines()[0]
        assert first == (
            "NOTHING WAS MEASURED: 1 path could not be asked, 1 path skipped. This run says nothing about the network."
        )


def test_paths_that_were_never_reached_are_counted() -> None:
    assert "12 paths selected, none reached" in plain(Recorder(planned=12))


def test_interrupted_run_says_how_much_is_missing(blocked: PathResult) -> None:
    recorder = Recorder(planned=12)
    recorder.add(blocked)
    assert "11 selected paths not reached" in plain(recorder)


def test_long_lists_are_cut_unless_verbose(blocked: PathResult) -> None:
    recorder = Recorder()
    for ordinal in range(2, SHOWN_ROWS + 5):
        recorder.add(replace(blocked, id=f"pod.ngw{ordinal}.c1--pod.gw.c2--tcp"))
    assert "… and 3 more; -v shows all" in plain(recorder)
    assert "more; -v" not in plain(recorder, 1)


def test_many_cluster_pairs_show_only_those_with_something_to_see(blocked: PathResult) -> None:
    recorder = Recorder()
    for source in range(1, 5):
        for target in range(1, 5):
            path_id = f"pod.gw.c{source}--pod.ngw.c{target}--tcp"
            recorder.add(
                replace(blocked, id=path_id, verdict=Verdict.BLOCKED if (source, target) == (2, 3) else Verdict.OK)
            )
    shown = plain(recorder)
    assert "c2 → c3" in shown
    assert "c1 → c2" not in shown
    assert "15 more cluster pairs; -v shows all" in shown
    assert "c1 → c2" in plain(recorder, 1)


def test_failing_path_is_listed_once_even_with_two_causes(blocked: PathResult, snat_missing: Finding) -> None:
    recorder = Recorder()
    recorder.add(blocked)
    recorder.add_finding(snat_missing)
    recorder.add_finding(replace(snat_missing, code="VX_MTU_WRONG"))
    assert plain(recorder, -1).count(f"X {blocked.id}") == 1


def test_root_cause_without_finding_still_groups(blocked: PathResult) -> None:
    recorder = Recorder()
    recorder.add(replace(blocked, root_cause="RT_TABLE150_MISSING"))
    assert "CAUSE RT_TABLE150_MISSING: 1 path" in plain(recorder)
