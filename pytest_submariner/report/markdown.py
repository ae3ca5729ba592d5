"""The run in Markdown, for a job's summary page, a merge request or an issue: verdict, matrices, causes, comparison."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.report.matrix_lines import matrix_lines
from pytest_submariner.report.overview.causes import causes, without_cause
from pytest_submariner.report.overview.verdict import headline
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import count, route

EVIDENCE_SHOWN = 6
PATHS_SHOWN = 40
"""Failing paths listed under a cause; results.json has all."""
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~#])")


def page(recorder: Recorder) -> str:
    """The whole document, with headings from level 2 on, so that it can stand within another."""
    lines = [line for block in _blocks(recorder) for line in [*block, ""]]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Text of clusters and programs as Markdown shows it unchanged, on one line. What stands in backticks becomes code."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:
        return _plain("`".join(parts))
    return "".join(_code(part) if i % 2 else _plain(part) for i, part in enumerate(parts))


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _blocks(recorder: Recorder) -> Iterator[list[str]]:
    told = headline(recorder)
    yield ["## Submariner conformance"]
    yield [f"**{_plain(told.sentence)}.**", *(escape(remark) for remark in told.remarks)]
    if world := list(_world(recorder)):
        yield world
    for finding, explained in causes(recorder):
        yield from _cause(finding, explained)
    if unexplained := without_cause(recorder):
        yield ["### Failing, cause not known"]
        yield from _paths(unexplained)
    yield from _matrices(recorder)
    yield from _comparison(recorder)
    if recorder.notes:
        yield ["### Notes"]
        yield [f"- {escape(note)}" for note in recorder.notes]


def _world(recorder: Recorder) -> Iterator[str]:
    for cluster in recorder.topology.clusters if recorder.topology else ():
        facts = [cluster.submariner_version and f"Submariner {cluster.submariner_version}", cluster.cable_driver]
        facts += [cluster.kubernetes_version and f"Kubernetes {cluster.kubernetes_version}", cluster.network_plugin]
        about = ", ".join(_plain(fact) for fact in (count(len(cluster.nodes), "node"), *facts) if fact)
        yield f"- **{cluster.position}** is {_plain(cluster.cluster_id)}: {about}"


def _cause(finding: Finding, explained: list[PathResult]) -> Iterator[list[str]]:
    where = ", ".join(filter(None, (finding.node, finding.cluster)))
    yield [f"### {_plain(finding.code)} on {_plain(where)}: {escape(finding.object)}"]
    shown = finding.evidence[:EVIDENCE_SHOWN]
    lines = [f"- {evidence.kind.value}: {escape(evidence.text)}" for evidence in shown]
    if len(shown) < len(finding.evidence):
        lines.append(f"- … and {len(finding.evidence) - len(shown)} more")
    yield lines
    yield [f"**Remedy:** {escape(finding.remedy)}"]
    yield from _paths(explained)


def _paths(results: list[PathResult]) -> Iterator[list[str]]:
    if not results:
        return
    yield ["<details>", f"<summary>{count(len(results), 'failing path')}</summary>"]
    shown = results[:PATHS_SHOWN]
    rows = ["| | path | verdict | nodes |", "|---|---|---|---|"]
    rows += [f"| {_plain(r.verdict.letter)} | `{r.id}` | {r.verdict.word} | {escape(route(r))} |" for r in shown]
    yield rows
    if len(shown) < len(results):
        yield [f"… and {len(results) - len(shown)} more in results.json"]
    if command := next((r.command for r in results if r.command), ""):
        yield [f"By hand, as `{next(r.id for r in results if r.command)}` was asked:"]
        yield ["```sh", command.replace("```", "` ` `"), "```"]
    yield ["</details>"]


def _matrices(recorder: Recorder) -> Iterator[list[str]]:
    lines = ["".join(span.text for span in line).rstrip() for line in matrix_lines(recorder, everything=False)]
    if lines:
        yield ["### Matrices"]
        yield ["```text", *lines, "```"]


def _comparison(recorder: Recorder) -> Iterator[list[str]]:
    if recorder.comparison is None:
        return
    found = recorder.comparison
    yield ["### Agreement with subctl verify"]
    yield [f"{found['agree']} agree, {found['disagree']} disagree, {found['not_compared']} not compared."]
    differing = [spec for spec in found["specs"] if spec["agree"] is False]
    if differing:
        yield [
            "| spec | path | subctl | ours |",
            "|---|---|---|---|",
            *(
                f"| {_plain(s['id'])} | `{s['path_id']}` | {_plain(str(s['subctl']))} | {_plain(str(s['ours']))} |"
                for s in differing
            ),
        ]
