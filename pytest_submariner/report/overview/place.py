"""Where the page goes: in place of an earlier page of ours, never of somebody else's that nobody named."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pytest_submariner.report.json import write_atomically

GENERATOR = '<meta name="generator" content="pytest-submariner">'
"""What tells our pages from others; within their first kilobytes."""


def may_replace(file: Path, *, named: bool) -> bool:
    """True for a file that is absent, that is a page of ours, or that the user `named`. OSError when it cannot be read."""
    if named or not file.exists():
        return True
    with file.open("rb") as stream:
        return GENERATOR.encode() in stream.read(4096)


def write_unfinished(file: Path) -> None:
    """What stands in the overview's place while a run is under way, and stays there when it is killed: nobody shall take an
    earlier run's page for this one's. OSError when `file` cannot be written."""
    page = files("pytest_submariner.report.overview").joinpath("assets/unfinished.html")
    write_atomically(file, page.read_text(encoding="utf-8"))
