"""Result files of Allure, read, changed and made outside a running test: after a run, when all is known about it.

A file has what allure-pytest writes (`allure_commons.model2.TestResult`); what is not touched here stays as it was.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_submariner.report.json import write_atomically

PATH = "path"
"""The parameter which tells items of paths apart."""


@dataclass(frozen=True)
class Attachment:
    """A text to be looked at. `kind` is a MIME type the viewer shows, `suffix` that of the file."""

    name: str
    text: str
    kind: str = "text/plain"
    suffix: str = "txt"

    def save(self, folder: Path) -> dict[str, str]:
        """Write it beside the results; what a result says about it."""
        source = f"{uuid.uuid4()}-attachment.{self.suffix}"
        write_atomically(folder / source, self.text)
        return {"name": self.name, "source": source, "type": self.kind}


def every(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """(file, content) of all results that can be read."""
    for file in sorted(folder.glob("*-result.json")):
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(result, dict):
            yield file, result


def save(file: Path, result: dict[str, Any]) -> None:
    write_atomically(file, json.dumps(result, ensure_ascii=False))


def path_of(result: dict[str, Any]) -> str | None:
    """The id of the path an item asked; None for items of other kinds (those that compare have it as a parameter left out of
    history)."""
    for parameter in result.get("parameters") or ():
        if parameter.get("name") == PATH and not parameter.get("excluded"):
            return str(parameter.get("value", "")).strip("'\"")
    return None


def is_of(result: dict[str, Any], nodeid: str) -> bool:
    """Whether it is of the item with this pytest id."""
    name, parameter = _names(nodeid)
    if result.get("fullName") != name:
        return False
    values = {str(p.get("value", "")).strip("'\"") for p in result.get("parameters") or ()}
    return not parameter or parameter in values


def add_label(result: dict[str, Any], name: str, value: str) -> None:
    labels = result.setdefault("labels", [])
    if {"name": name, "value": value} not in labels:
        labels.append({"name": name, "value": value})


def add_link(result: dict[str, Any], url: str, name: str, kind: str = "link") -> None:
    links = result.setdefault("links", [])
    if all(link.get("url") != url for link in links):
        links.append({"type": kind, "url": url, "name": name})


def step(name: str, *, good: bool = True, steps: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"name": name, "status": "passed" if good else "failed", "steps": steps or []}


def blank(nodeid: str, *, at_ms: int) -> dict[str, Any]:
    """A result for an item that left none, with the history the item would have had."""
    full_name, parameter = _names(nodeid)
    module = full_name.partition("#")[0]
    parameters = [{"name": PATH, "value": parameter}] if parameter else []
    return {
        "uuid": str(uuid.uuid4()),
        "historyId": _md5(full_name + parameter),
        "testCaseId": _md5(full_name),
        "fullName": full_name,
        "name": nodeid.rpartition("::")[2],
        "parameters": parameters,
        "labels": [
            {"name": "framework", "value": "pytest"},
            {"name": "language", "value": "python"},
            {"name": "package", "value": module},
        ],
        "start": at_ms,
        "stop": at_ms,
    }


def _names(nodeid: str) -> tuple[str, str]:
    """(fullName, parameter): `a/test_b.py::test_c[d]` is `a.test_b#test_c` and `d`."""
    place, _, parameter = nodeid.partition("[")
    file, *names = place.split("::")
    module = file.removesuffix(".py").replace("/", ".")
    classes = "".join(f".{name}" for name in names[:-1])
    return f"{module}{classes}#{names[-1] if names else ''}", parameter.removesuffix("]")


def _md5(text: str) -> str:
    """Allure's history is keyed by it; nothing secret depends on it."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
