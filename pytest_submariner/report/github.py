"""GitHub Actions: the job's summary page, and annotations of a run. Facts: docs.github.com, "Workflow commands"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_submariner.model.finding import Finding
from pytest_submariner.report.markdown import page
from pytest_submariner.report.overview.causes import causes, without_cause
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import count

SUMMARY_BYTES = 1_000_000
"""A step's summary above 1 MiB is dropped as a whole."""
MOST_ANNOTATIONS = 10
"""Of one kind and step; GitHub drops the others without a word."""
_MESSAGE_CHARS = 2000


def is_github(environ: Mapping[str, str]) -> bool:
    return environ.get("GITHUB_ACTIONS") == "true"


def summarise(recorder: Recorder, environ: Mapping[str, str]) -> Path | None:
    """Append the run to the step's summary; None where there is none. OSError as it comes."""
    file = environ.get("GITHUB_STEP_SUMMARY", "")
    if not (is_github(environ) and file):
        return None
    target = Path(file)
    there = target.stat().st_size if target.exists() else 0
    with target.open("a", encoding="utf-8") as stream:
        stream.write(bounded(page(recorder), SUMMARY_BYTES - there))
    return target


def bounded(text: str, most: int) -> str:
    """Whole lines of at most `most` bytes in UTF-8, with a note when some are missing."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded.decode("utf-8")
    note = "\n```\n\nThe rest does not fit here; results.json has it.\n"
    room = most - len(note.encode())
    if room <= 0:
        return ""
    kept = encoded[:room].decode("utf-8", "ignore")
    return kept[: kept.rfind("\n") + 1] + note


def commands(recorder: Recorder, environ: Mapping[str, str]) -> list[str]:
    """Workflow commands, each a line: causes, not paths, so that ten are enough. None outside GitHub Actions."""
    if not is_github(environ):
        return []
    errors = list(_errors(recorder))
    if len(errors) > MOST_ANNOTATIONS:
        left = len(errors) - MOST_ANNOTATIONS + 1
        errors[MOST_ANNOTATIONS - 1 :] = [_command("error", f"{left} more causes", "The job's summary has them all.")]
    latent = [finding for finding, paths in causes(recorder) if not paths]
    warnings = [_of(finding, 0, "warning") for finding in latent[:MOST_ANNOTATIONS]]
    return errors + warnings


def _errors(recorder: Recorder) -> Iterator[str]:
    if not recorder.is_empty and not recorder.measured and not any(f.has_value for f in recorder.figures):
        yield _command("error", "Nothing was measured", "This run says nothing about the network.")
    for finding, paths in causes(recorder):
        if paths:
            yield _of(finding, len(paths), "error")
    if rest := without_cause(recorder):
        some = ", ".join(result.id for result in rest[:3]) + (", …" if len(rest) > 3 else "")
        yield _command("error", f"{count(len(rest), 'failing path')}, cause not known", f"{some}: {rest[0].detail}")


def _of(finding: Finding, paths: int, kind: str) -> str:
    where = ", ".join(filter(None, (finding.node, finding.cluster)))
    lines = [f"{count(paths, 'failing path')}: {finding.object}" if paths else f"no path fails: {finding.object}"]
    lines += [f"{evidence.kind.value}: {evidence.text}" for evidence in finding.evidence[:3]]
    lines.append(f"remedy: {finding.remedy}")
    return _command(kind, f"{finding.code} on {where}", "\n".join(lines))


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_property(title)}::{_data(message[:_MESSAGE_CHARS])}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
