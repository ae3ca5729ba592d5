"""The overview as a document: what it says, that it escapes what it is told, how large it gets."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_runs import HOSTILE, cut_off, default_run, hostile_run, mesh_run, overlay_link_down, record, topology

from pytest_submariner.model.path import PathCase
from pytest_submariner.model.performance import Figure, RoundTrips, State
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.overview.page import render, write_overview
from pytest_submariner.report.overview.place import may_replace, write_unfinished
from pytest_submariner.report.overview.verdict import headline
from pytest_submariner.report.recorder import Recorder


class Outline(HTMLParser):
    """Tags, texts outside of scripts and styles, and the ids and targets of links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._silent = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words += " " if tag in ("td", "th", "dt", "dd", "li") else ""
        if tag in ("script", "style"):
            self._silent = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = ""

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words += data

    @property
    def text(self) -> str:
        return " ".join(self.words.split())


def test_healthy_run_in_a_sentence() -> None:
    outline = Outline(render(default_run()))
    assert "All 280 measured paths do what Submariner promises." in outline.text
    assert "#findings" not in {attributes.get("href") for _, attributes in outline.tags}


def test_failing_run_names_its_cause_first() -> None:
    recorder = overlay_link_down(default_run(cut_off("c1-w1")))
    text = Outline(render(recorder)).text
    number = len(recorder.failures())
    assert f"{number} of 280 paths are not as expected: OVERLAY_LINK_DOWN on c1-w1." in text
    assert "ip link set vx-submariner up on c1-w1, or restart its route agent." in text
    assert "12 SYNs left pods on c1-w1" in text
    assert f"Explains {number} paths" in text


def test_failing_paths_without_a_finding_are_listed_all_the_same() -> None:
    text = Outline(render(default_run(cut_off("c1-w1")))).text
    assert "Not as expected: 57 paths" in text
    assert "Pod on a non-gateway node → Pod on a gateway node, c1 → c2, TCP" in text


@pytest.mark.parametrize(
    ("recorder", "tone", "sentence"),
    [
        (Recorder(), "bad", "Nothing was measured: this run says nothing about the network"),
        (Recorder(planned=280), "bad", "Nothing was measured: this run says nothing about the network"),
        (
            replace(default_run(), planned=300),
            "unsure",
            "Nothing failed, but only 280 of 300 selected paths were reached",
        ),
        (
            default_run(lambda case: Verdict.SKIPPED),
            "bad",
            "Nothing was measured: this run says nothing about the network",
        ),
        (mesh_run(49), "good", "All 9,900 measured paths do what Submariner promises"),
        (
            record(topology(), [PathCase.parse("pod.gw.c1--pod.gw.c2--tcp")]),
            "good",
            "The one measured path does what Submariner promises",
        ),
        (
            overlay_link_down(record(topology(), [PathCase.parse("pod.gw.c1--pod.gw.c2--tcp")])),
            "unsure",
            "The one measured path does what Submariner promises; all the same there is 1 finding",
        ),
    ],
    ids=["nothing", "died", "early", "skipped", "large", "one", "finding"],
)
def test_headline(recorder: Recorder, tone: str, sentence: str) -> None:
    said = headline(recorder)
    assert (said.tone, said.sentence) == (tone, sentence)
    assert sentence + "." in Outline(render(recorder)).text


def test_default_run_stays_small() -> None:
    recorder = overlay_link_down(default_run(cut_off("c1-w1")))
    assert len(recorder.results) == 280
    assert len(render(recorder).encode()) <= 300_000


def test_large_mesh_summarises() -> None:
    recorder = overlay_link_down(mesh_run(49, cut_off("c1-w17")), "c1-w17")
    page = render(recorder)
    assert len(recorder.results) == 9900
    assert len(page.encode()) <= 1_000_000
    outline = Outline(page)
    cells = [a for tag, a in outline.tags if tag == "a" and "data-cell" in a]
    assert len(cells) < 40
    assert "50 of 2,500 not as expected" in outline.text
    assert "c1-w17" in outline.text


def test_asks_no_host_and_runs_only_its_own_script() -> None:
    page = render(overlay_link_down(default_run(cut_off("c1-w1"))))
    outline = Outline(page)
    for _, attributes in outline.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith("#")
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] for tag, a in outline.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert re.fullmatch(r"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'", policy)
    assert "url(" not in page
    assert "@import" not in page


def test_every_inner_link_has_a_target() -> None:
    outline = Outline(render(overlay_link_down(default_run(cut_off("c1-w1")))))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"] for tag, attributes in outline.tags if tag == "a"} <= {f"#{name}" for name in ids}


def test_tables_say_what_their_heads_are_for() -> None:
    outline = Outline(render(default_run()))
    heads = [attributes for tag, attributes in outline.tags if tag == "th"]
    assert heads
    assert all(a.get("scope") in ("row", "col", "rowgroup", "colgroup") for a in heads)


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    write_overview(hostile_run(), file, [(HOSTILE, HOSTILE, HOSTILE)])
    page = file.read_text(encoding="utf-8")
    outline = Outline(page)
    assert [a for tag, a in outline.tags if tag in ("img", "iframe", "object", "embed")] == []
    assert sum(1 for tag, _ in outline.tags if tag == "script") == 2
    assert not [a for _, a in outline.tags if "onerror" in a]
    assert "<script>alert" not in page
    assert "{{7*7}}" in page


def test_figures_under_load_have_their_tables() -> None:
    recorder = Recorder(topology=topology())
    recorder.add_figure(
        Figure("pod.gw.c1--pod.gw.c2--tcp--throughput-10", State.MEASURED, mbit_s=12345.6, ratio=0.5, retransmits=3)
    )
    trips = RoundTrips(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, samples=100)
    recorder.add_figure(Figure("pod.gw.c1--pod.gw.c2--tcp--latency", State.MISSED, round_trips=trips, ratio=2.0))
    recorder.add_figure(Figure("pod.gw.c1--pod.ngw.c2--tcp--latency", State.FAILED))
    text = Outline(render(recorder)).text
    for words in ("10 12,346 50% 3 segments measured", "0.300 0.400 0.500 0.600 2.0 missed", "– – – – – failed"):
        assert words in text


def test_page_of_somebody_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    assert may_replace(file, named=False)
    write_unfinished(file)
    assert "has not ended" in Outline(file.read_text(encoding="utf-8")).text
    assert may_replace(file, named=False)
    write_overview(default_run(), file)
    assert may_replace(file, named=False)
    file.write_text("<h1>My page</h1>", encoding="utf-8")
    assert not may_replace(file, named=False)
    assert may_replace(file, named=True)


def test_written_in_one_piece(tmp_path: Path) -> None:
    write_overview(Recorder(), tmp_path / "deep" / "index.html")
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["index.html"]
