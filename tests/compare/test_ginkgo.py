"""Reads subctl's JUnit file: two real ones, and the ways others can be broken."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pytest_submariner.compare.ginkgo import ReportUnreadable, SpecReport, State, read_junit
from pytest_submariner.compare.mapping import CONNECTIVITY, SPECS

DATA = Path(__file__).with_name("data")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n<testsuite name="Submariner E2E suite">'
FILTER = '<properties><property name="LabelFilter" value="dataplane&amp;&amp;!globalnet"></property></properties>'
INTERRUPTED = '<properties><property name="SpecialSuiteFailureReason" value="Interrupted by User"/></properties>'


def one(tmp_path: Path, case: str, properties: str = FILTER) -> SpecReport:
    """The only spec of a report made of `case`."""
    file = tmp_path / "report.xml"
    file.write_text(f"{HEAD}{properties}{case}</testsuite></testsuites>", encoding="utf-8")
    (spec,) = read_junit(file).specs
    return spec


def case(status: str, child: str = "", name: str = "[It] Group one when here should work [dataplane, basic]") -> str:
    return f'<testcase name="{name}" classname="x" status="{status}" time="1.5">{child}</testcase>'


def test_healthy_report() -> None:
    report = read_junit(DATA / "healthy.junit.xml")
    assert len(report.specs) == 48
    assert Counter(spec.state for spec in report.specs) == {State.PASSED: 12, State.DESELECTED: 36}
    assert report.label_filter == "dataplane&&!globalnet"
    assert not report.interrupted
    assert {spec.text for spec in report.specs if spec.state is State.PASSED} == {spec.text for spec in CONNECTIVITY}


def test_every_spec_of_a_real_report_is_in_the_table_letter_by_letter() -> None:
    report = read_junit(DATA / "healthy.junit.xml")
    assert sorted(spec.text for spec in report.specs) == sorted(spec.text for spec in SPECS)


def test_failed_spec_of_a_real_report() -> None:
    report = read_junit(DATA / "no-snat.junit.xml")
    (failed,) = (spec for spec in report.specs if spec.state is State.FAILED)
    assert failed.text == next(spec.text for spec in SPECS if spec.id == "TCP-09")
    assert failed.node == "It"
    assert failed.place == "shipyard/test/e2e/framework/network_pods.go:196"
    assert failed.message.startswith("Expected\n    <int32>: 1")
    assert failed.duration_s == pytest.approx(31.2, abs=0.2)


def test_title_loses_node_type_and_labels_and_keeps_the_rest(tmp_path: Path) -> None:
    spec = one(tmp_path, case("passed", "<system-err/>", name="[It] A [b] c&#39;s   thing [x, y]"))
    assert (spec.text, spec.labels) == ("A [b] c's thing", ("x", "y"))


def test_title_without_labels(tmp_path: Path) -> None:
    spec = one(tmp_path, case("passed", "<system-err/>", name="[It] Leader election works"))
    assert (spec.text, spec.labels) == ("Leader election works", ())


@pytest.mark.parametrize(
    ("status", "child", "state"),
    [
        ("passed", "<system-err/>", State.PASSED),
        ("skipped", '<skipped message="skipped"/>', State.DESELECTED),
        ("skipped", '<skipped message="skipped - Nov 22 08:34:36.123: only one node"/>', State.SKIPPED),
        ("failed", '<failure message="m" type="failed">x</failure>', State.FAILED),
        ("timedout", '<failure message="m" type="timedout">x</failure>', State.TIMEDOUT),
        ("panicked", '<error message="m" type="panicked">x</error>', State.PANICKED),
        ("interrupted", '<error message="m" type="interrupted">x</error>', State.INTERRUPTED),
        ("aborted", '<failure message="m" type="aborted">x</failure>', State.ABORTED),
        ("pending", '<skipped message="pending"/>', State.PENDING),
        ("invented", "<system-err/>", State.UNKNOWN),
        ("", "", State.UNKNOWN),
        ("passed", '<failure message="m">x</failure>', State.UNKNOWN),
    ],
)
def test_state(tmp_path: Path, status: str, child: str, state: State) -> None:
    assert one(tmp_path, case(status, child)).state is state


@pytest.mark.parametrize("stamp", ["Nov 22 08:34:36.123: ", "Nov  2 08:34:36.123: ", ""])
def test_reason_of_a_runtime_skip_has_no_stamp(tmp_path: Path, stamp: str) -> None:
    spec = one(tmp_path, case("skipped", f'<skipped message="skipped - {stamp}cluster has one node"/>'))
    assert spec.message == "cluster has one node"


def test_after_an_interrupt_selected_specs_were_not_reached(tmp_path: Path) -> None:
    both = INTERRUPTED.replace("</properties>", '<property name="LabelFilter" value="dataplane"/></properties>')
    skipped = '<skipped message="skipped"/>'
    assert one(tmp_path, case("skipped", skipped), both).state is State.NOT_REACHED
    assert one(tmp_path, case("skipped", skipped, name="[It] x [redundancy]"), both).state is State.DESELECTED
    unreadable = both.replace('value="dataplane"', 'value="(("')
    assert one(tmp_path, case("skipped", skipped), unreadable).state is State.DESELECTED


def test_suite_nodes_are_no_specs(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    cases = case("passed", name="[BeforeSuite]") + case("passed", "<system-err/>")
    file.write_text(f"{HEAD}{cases}</testsuite></testsuites>", encoding="utf-8")
    assert [spec.text for spec in read_junit(file).specs] == ["Group one when here should work"]


def test_of_two_attempts_the_last_counts(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    cases = case("failed", '<failure message="m"/>') + case("passed", "<system-err/>")
    file.write_text(f"{HEAD}{cases}</testsuite></testsuites>", encoding="utf-8")
    found = read_junit(file).spec("Group one when here should work")
    assert found is not None
    assert found.state is State.PASSED


def test_time_that_is_no_number_is_zero(tmp_path: Path) -> None:
    assert one(tmp_path, case("passed").replace('time="1.5"', 'time="soon"')).duration_s == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no complete XML"),
        (HEAD.encode() + b'<testcase name="[It', "no complete XML"),
        (b"not XML at all", "no complete XML"),
        (b"\x00\x01\x02", "no complete XML"),
        (b'<?xml version="1.0" encoding="made-up"?><testsuites/>', "no complete XML"),
        (b"<html><body/></html>", "no JUnit file: it starts with <html>"),
        (b"<testsuites/>", r"has no suite 'Submariner E2E suite' \(found: none\)"),
        (b'<testsuites><testsuite name="pytest"/></testsuites>', r"\(found: 'pytest'\)"),
        (b'<testsuite name="pytest"/>', r"\(found: 'pytest'\)"),
    ],
)
def test_file_of_another_kind_is_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "report.xml"
    file.write_bytes(content)
    with pytest.raises(ReportUnreadable, match=message) as caught:
        read_junit(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReportUnreadable, match=r"absent\.xml: No such file"):
        read_junit(tmp_path / "absent.xml")
    with pytest.raises(ReportUnreadable, match="Is a directory"):
        read_junit(tmp_path)


def test_bare_testsuite_is_read_as_well(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    file.write_text(f'<testsuite name="Submariner E2E suite">{case("passed")}</testsuite>', encoding="utf-8")
    assert len(read_junit(file).specs) == 1
