"""The files of a sysdump that people read: objects as YAML, nodes as text, traces, logs, verdicts, and a page to start from.

Whatever is written passes `redact` once more: texts of programs may hold secrets wherever they like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.dataplane.deviation import deviations
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects, Object
from pytest_submariner.diagnose.objects.redaction import blank, redact
from pytest_submariner.diagnose.sysdump.statetext import state_text
from pytest_submariner.diagnose.sysdump.surroundings import surroundings
from pytest_submariner.model.topology import Role

if TYPE_CHECKING:
    from pytest_submariner.diagnose.diagnosis import Diagnosed
    from pytest_submariner.diagnose.observation import Observation

_WIDE: Final = 1_000_000
"""A line of YAML is never folded, so that grep finds what it holds."""


@dataclass(frozen=True)
class File:
    """`name` is the path in the archive, `about` a few words for the page."""

    name: str
    about: str
    text: str


def readable(diagnosed: Diagnosed) -> list[File]:
    """Everything but observation.json, in the order of the page."""
    seen = diagnosed.observation
    made = [
        *_verdicts(seen),
        *_surroundings(seen),
        *(file for objects in seen.objects.values() for file in _objects(objects)),
        *(_node(sight) for sight in seen.sights.values()),
    ]
    return [File(file.name, file.about, redact(file.text)) for file in made]


def page(diagnosed: Diagnosed, listed: Iterable[File], about: str = "") -> str:
    """index.html: the findings, and every file with a link. No script, nothing from elsewhere."""
    from jinja2 import Environment, StrictUndefined

    template = files(__package__).joinpath("assets/sysdump.html.j2").read_text(encoding="utf-8")
    seen = diagnosed.observation
    chapters: dict[str, list[File]] = {}
    for file in listed:
        chapters.setdefault(_chapter(file.name), []).append(file)
    return (
        Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(
            findings=diagnosed.findings,
            notes=(*seen.unread, *diagnosed.notes),
            asked=len(seen.flows),
            failing=seen.failing,
            clusters=seen.clusters,
            chapters=chapters,
            about=about,
            redact=redact,
        )
    )


def _chapter(name: str) -> str:
    parts = name.split("/")
    if len(parts) == 1:
        return "The run"
    return f"Cluster {parts[1]}" if parts[0] == "clusters" else "Failing paths that were traced"


def _verdicts(seen: Observation) -> Iterator[File]:
    width = max((len(flow.id) for flow in seen.flows), default=0)
    lines = [
        f"{flow.verdict.letter} {flow.id:<{width}}  {flow.verdict.word}  {flow.result.detail}" for flow in seen.flows
    ]
    if lines:
        yield File(
            "paths.txt", f"{len(lines)} paths and their verdicts", "\n".join(line.rstrip() for line in lines) + "\n"
        )


def _surroundings(seen: Observation) -> Iterator[File]:
    """Of the paths that were traced: all nodes in full are in the sysdump anyway."""
    for flow in seen.failing:
        sections = surroundings(seen, flow) if flow.id in seen.traces else ()
        if sections:
            text = "\n".join(f"## {section.title}\n\n{section.text.rstrip()}\n" for section in sections)
            yield File(f"paths/{flow.id}.txt", str(seen.traces[flow.id]), text)


def _objects(objects: ClusterObjects) -> Iterator[File]:
    place = f"clusters/{objects.position}"
    for kind, found in sorted(objects.found.items()):
        if found:
            yield File(f"{place}/objects/{kind}.yaml", _count(found), _yaml(found))
    for kind, found in sorted((objects.broker or {}).items()):
        if found:
            yield File(f"{place}/broker/{kind}.yaml", f"{_count(found)}, as the broker holds them", _yaml(found))
    unread = dict(objects.unread) | ({"broker": objects.broker_error} if objects.broker_error else {})
    if unread:
        yield File(
            f"{place}/unread.txt", "what could not be read, and why", _lines(f"{k}: {v}" for k, v in unread.items())
        )
    if objects.logs:
        known = [f"== {name}\n" + "\n".join(lines) for name, lines in objects.logs.items()]
        yield File(f"{place}/known-errors.txt", "lines of logs known to mean trouble", _lines(known))
    for name, lines in sorted(objects.tails.items()):
        yield File(f"{place}/logs/{name.replace('/', '_')}.log", f"last {len(lines)} lines", _lines(lines))


def _node(sight: NodeSight) -> File:
    text = state_text(sight.before)
    if found := against_model(sight):
        text += f"\n## Against what Submariner should have made\n{found}"
    if sight.after is not None:
        text += "\n\n# AFTER THE TRACED PROBES\n\n" + state_text(sight.after)
    return File(f"clusters/{sight.node.cluster}/nodes/{sight.name}.txt", f"{sight.node.role.value} node", text)


def against_model(sight: NodeSight) -> str:
    """What is missing, different or left over on a node, and what that means for traffic; empty when nothing is."""
    is_gateway = sight.node.role is Role.GATEWAY
    found = deviations(sight.differences, is_gateway=is_gateway, observed=sight.before)
    return _lines(line for deviation in found for line in deviation.lines()) if found else ""


def _yaml(objects: Iterable[Object]) -> str:
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    plain: list[Any] = [blank(item) for item in objects]
    text: str = yaml.dump_all(plain, Dumper=dumper, width=_WIDE, allow_unicode=True, explicit_start=True)
    return text


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(texts) + "\n"


def _count(found: Iterable[Mapping[str, Any]]) -> str:
    number = len(list(found))
    return "1 object" if number == 1 else f"{number} objects"
