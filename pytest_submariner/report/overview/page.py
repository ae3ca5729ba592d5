"""The page: what the recorder holds, in the order somebody asks about it, rendered by one template."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.json import write_atomically
from pytest_submariner.report.overview.bytecode import compiled_templates
from pytest_submariner.report.overview.causes import causes, without_cause
from pytest_submariner.report.overview.data import glyph, packed, tone
from pytest_submariner.report.overview.figures import groups as figure_groups
from pytest_submariner.report.overview.tables import tables
from pytest_submariner.report.overview.verdict import headline
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import parse, title
from pytest_submariner.report.topology_svg.picture import render_topology, style_sheet

if TYPE_CHECKING:
    from markupsafe import Markup

Fact = tuple[str, str, str]
"""(name, value, where the value came from) of a setting."""
PATHS_SHOWN = 6
"""Failing paths named under a finding; the path list has all."""


def write_overview(recorder: Recorder, file: Path, settings: Sequence[Fact] = ()) -> None:
    """Write the page in place of an older one; no reader sees half of it. OSError when `file` cannot be written."""
    write_atomically(file, render(recorder, settings))


def render(recorder: Recorder, settings: Sequence[Fact] = ()) -> str:
    """The whole HTML document. Texts of clusters and programs are escaped by the template, in the picture by its XML writer;
    the path list is data that the script puts into text nodes."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=compiled_templates(),
    )
    environment.filters["code"] = _with_code
    environment.globals.update(glyph=glyph, tone=tone)
    css, script = _asset("overview.css") + style_sheet(), _asset("overview.js")
    text = environment.get_template("overview.html.j2").render(
        run=recorder,
        css=Markup(css),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(script)}'",
        headline=headline(recorder),
        counts=recorder.counts,
        started=_moment(recorder.started),
        picture=Markup(_picture(recorder)),
        tables=tables(recorder.results),
        letters=sorted({result.verdict for result in recorder.results}, key=list(Verdict).index),
        statuses=[(parse(r.id), r) for r in recorder.results if r.id.endswith("--status")],
        causes=causes(recorder),
        unexplained=without_cause(recorder),
        skipped=_skipped(recorder),
        figures=figure_groups(recorder.figures),
        settings=settings,
        shown=PATHS_SHOWN,
        title=_title,
        data=packed(recorder) if recorder.results else "",
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate of somebody's output is no UTF-8


def _with_code(text: str) -> Markup:
    """Escaped; what stands between backticks becomes `<code>`."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    pieces = [Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)]
    return Markup("").join(pieces)


def _asset(name: str) -> str:
    return files("pytest_submariner.report.overview").joinpath("assets", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _picture(recorder: Recorder) -> str:
    if recorder.topology is None:
        return ""
    return render_topology(recorder.topology, recorder.results, recorder.findings, embedded=True)


def _skipped(recorder: Recorder) -> list[tuple[str, int]]:
    """Why paths were not asked, and how many for each reason."""
    reasons: dict[str, int] = {}
    for result in recorder.results:
        if result.verdict is Verdict.SKIPPED:
            reasons[result.detail] = reasons.get(result.detail, 0) + 1
    return sorted(reasons.items(), key=lambda item: -item[1])


def _title(path_id: str) -> str:
    case = parse(path_id)
    return title(case) if case else path_id


def _moment(started: str) -> str:
    """`2026-11-22 13:37 UTC`; what is no time stays as it is."""
    try:
        moment: Any = datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".rstrip()
