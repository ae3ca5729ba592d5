"""Writes docs/root-causes.md from the catalogue of causes and the lab's faults: `./dev docs`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from pytest_submariner.diagnose.catalogue import CAUSES
from pytest_submariner.diagnose.cause import Cause, Layer
from pytest_submariner.lab.faults import FAULTS

FILE = Path(__file__).with_name("root-causes.md")
_HEAD = """# Root causes

Written by `./dev docs` from `pytest_submariner/diagnose/causes/`; a test keeps it true. Each cause has a code, which
results.json, JUnit, Allure and the terminal use. A cause is named when the state of a node or an object shows
it and failing paths fit it; what no cause explains is `UNEXPLAINED`, with the hop at which packets were lost and the object there
whose counter rose.

"""


def page() -> str:
    """The whole file."""
    lines = [_HEAD.rstrip(), ""]
    for layer in Layer:
        chapter = [cause for cause in CAUSES if cause.layer is layer]
        lines += [f"- [{layer.value}](#{_anchor(layer.value)}): {len(chapter)}"]
    for layer in Layer:
        lines += ["", f"## {layer.value}"]
        for cause in CAUSES:
            if cause.layer is layer:
                lines += _entry(cause)
    return "\n".join(lines) + "\n"


def _entry(cause: Cause) -> Iterator[str]:
    faults = [fault.id for fault in FAULTS if fault.code == cause.code]
    yield ""
    yield f"### {cause.id}"
    yield ""
    yield f"`{cause.code}`: {cause.title}."
    yield ""
    for name, text in (
        ("Symptom", cause.symptom),
        ("Mechanism", cause.mechanism),
        ("Evidence", cause.evidence),
        ("Remedy", cause.remedy),
    ):
        yield from textwrap.wrap(
            f"- **{name}.** {text}", 140, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    if cause.effects:
        yield f"- **Not reported beside it**, since they follow from it: {', '.join(f'`{code}`' for code in cause.effects)}."
    if faults:
        yield f"- **In the lab.** {' or '.join(f'`submariner-lab inject {fault}`' for fault in faults)}"
    else:
        yield "- **In the lab.** Not possible: its rule is proven on recorded states."
    if cause.sources:
        yield f"- **Sources.** {'; '.join(cause.sources)}."


def _anchor(title: str) -> str:
    kept = "".join(char for char in title.lower() if char.isalnum() or char in " -")
    return kept.replace(" ", "-")


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
