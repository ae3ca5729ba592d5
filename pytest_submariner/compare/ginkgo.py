"""Reads the JUnit file of `subctl verify --junit-report`: a Ginkgo suite, every registered spec present, deselected ones too.

Lenient about everything but one thing: a status that is not known never counts as passed.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pytest_submariner.compare.labelfilter import selects
from pytest_submariner.errors import SubmarinerError

SUITE = "Submariner E2E suite"
"""`submariner:test/e2e`, the name Ginkgo's RunSpecs gets in subctl."""
_LABELS = re.compile(r"\s*\[([^\[\]]*)\]\s*$")
_NODE = re.compile(r"^\[\w+\]\s*")
_STAMP = re.compile(r"^[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2}\.\d{3}: ")
_LOCATION = re.compile(r"^In \[(?P<node>\w+)\] at: (?P<place>\S+)", re.MULTILINE)


class ReportUnreadable(SubmarinerError):
    """The file is not a report of `subctl verify`; one line that names the file and what is wrong with it."""


class State(StrEnum):
    """What became of a spec. Only PASSED and FAILED are answers."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEDOUT = "timedout"
    PANICKED = "panicked"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"
    PENDING = "pending"
    SKIPPED = "skipped"
    """Skipped itself while running; `message` has the reason."""
    DESELECTED = "deselected"
    """Not selected by the label filter (`--only`)."""
    NOT_REACHED = "not reached"
    """Selected, but the run was interrupted before."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SpecReport:
    """One spec as subctl saw it. `text` is its title without node type and labels; `node` is where a failure happened
    (`It`, `BeforeEach`, `AfterEach`), empty when the file does not say."""

    text: str
    labels: tuple[str, ...]
    state: State
    message: str = ""
    node: str = ""
    place: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True)
class GinkgoReport:
    """A file, read. `source` is its path as given."""

    source: str
    label_filter: str
    started: str
    interrupted: bool
    specs: tuple[SpecReport, ...]

    def spec(self, text: str) -> SpecReport | None:
        """The spec of that title; of several attempts (a rerun) the last."""
        return next((spec for spec in reversed(self.specs) if spec.text == text), None)


def read_junit(file: Path) -> GinkgoReport:
    """Read a report. ReportUnreadable for a file that cannot be opened, is cut off, is not JUnit or is of another suite."""
    try:
        root = ET.parse(file).getroot()
    except OSError as error:
        raise ReportUnreadable(f"subctl report {file}: {error.strerror or error}") from None
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ReportUnreadable(f"subctl report {file} is no complete XML: {error} (was it cut off?)") from None
    if root.tag not in ("testsuites", "testsuite"):
        raise ReportUnreadable(f"subctl report {file} is no JUnit file: it starts with <{root.tag}>, not <testsuites>")
    suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
    found = [suite for suite in suites if suite.get("name") == SUITE]
    if not found:
        names = ", ".join(repr(suite.get("name")) for suite in suites) or "none"
        raise ReportUnreadable(
            f"subctl report {file} has no suite {SUITE!r} (found: {names}); is it from `subctl verify`?"
        )
    return _report(str(file), found[-1])


def _report(source: str, suite: ET.Element) -> GinkgoReport:
    properties = {p.get("name", ""): p.get("value", "") for p in suite.iterfind("properties/property")}
    label_filter = properties.get("LabelFilter", "")
    cases = suite.findall("testcase")
    interrupted = bool(properties.get("SpecialSuiteFailureReason")) or any(
        c.get("status") == "interrupted" for c in cases
    )
    specs = tuple(_spec(case, label_filter, interrupted) for case in cases if not _is_suite_node(case))
    return GinkgoReport(source, label_filter, suite.get("timestamp", ""), interrupted, specs)


def _is_suite_node(case: ET.Element) -> bool:
    """Set-up nodes of the suite ([BeforeSuite], [ReportAfterSuite], …) appear as cases and are no specs."""
    match = _NODE.match(case.get("name", ""))
    return match is not None and match[0].strip() != "[It]"


def _spec(case: ET.Element, label_filter: str, interrupted: bool) -> SpecReport:
    name = " ".join(_NODE.sub("", case.get("name", "")).split())
    found = _LABELS.search(name)
    labels = tuple(label.strip() for label in found[1].split(",")) if found else ()
    child = next((c for tag in ("failure", "error", "skipped") if (c := case.find(tag)) is not None), None)
    message, text = ("", "") if child is None else (child.get("message") or "", child.text or "")
    where = _LOCATION.search(text)
    return SpecReport(
        text=_LABELS.sub("", name),
        labels=labels,
        state=_state(case, child, labels=labels, label_filter=label_filter, interrupted=interrupted),
        message=_STAMP.sub("", message.removeprefix("skipped - ")).strip(),
        node=where["node"] if where else "",
        place=where["place"] if where else "",
        duration_s=_seconds(case.get("time")),
    )


def _state(
    case: ET.Element, child: ET.Element | None, *, labels: tuple[str, ...], label_filter: str, interrupted: bool
) -> State:
    status = case.get("status", "")
    message = "" if child is None else child.get("message") or ""
    if status in ("passed", "") and child is None:
        return State.PASSED if status else State.UNKNOWN
    if status == "skipped" or (not status and child is not None and child.tag == "skipped"):
        if message.startswith("skipped - "):
            return State.SKIPPED
        return State.NOT_REACHED if interrupted and _selected(label_filter, labels) else State.DESELECTED
    if status in ("failed", "timedout", "panicked", "interrupted", "aborted", "pending"):
        return State(status)
    return State.UNKNOWN


def _selected(label_filter: str, labels: tuple[str, ...]) -> bool:
    try:
        return selects(label_filter, labels)
    except (ValueError, re.error):
        return False


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
