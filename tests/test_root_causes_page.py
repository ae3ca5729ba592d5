"""docs/root-causes.md is what the catalogue says."""

from __future__ import annotations

import runpy
from pathlib import Path

from pytest_submariner.diagnose.catalogue import CAUSES

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_is_what_the_catalogue_says() -> None:
    made = runpy.run_path(str(DOCS / "make_root_causes.py"))["page"]()
    assert made == (DOCS / "root-causes.md").read_text(encoding="utf-8"), "./dev docs writes it anew"


def test_every_cause_links_to_its_entry() -> None:
    page = (DOCS / "root-causes.md").read_text(encoding="utf-8")
    assert [cause.code for cause in CAUSES if f"\n### {cause.link.rpartition('#')[2]}\n" not in page] == []
