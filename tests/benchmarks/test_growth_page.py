"""The growth report and its plot, from plain numbers."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.growth_page import Size, page, picture
from benchmarks.plot import Panel, Series, nice, plot

SVG = "{http://www.w3.org/2000/svg}"


def size(nodes: int, **more: float) -> Size:
    usual = {"boot_s": 1.0, "lab_mib": 90, "run_s": 3.0, "probing_s": 2.0, "cpu_s": 5.0, "peak_mib": 400}
    return Size(nodes, **{**usual, **more}, requests=5 * nodes, paths=3 * nodes * (nodes - 1), wrong=0)


def test_a_row_per_size_with_its_pairs_and_requests() -> None:
    lines = list(page([size(10), size(100)], load=0.1))
    assert "| 10 | 90 | 270 | 1.00 s | 2.0 s | 3.0 s | 5.0 s | 90 MiB | 400 MiB | 50 | 5.0 | 0 |" in lines
    assert any(line.startswith("| 100 | 9,900 | 29,700 |") for line in lines)
    assert any("Goals at 100 nodes" in line for line in lines)


def test_the_picture_has_a_panel_per_question_and_a_point_per_size() -> None:
    root = ElementTree.fromstring(picture([size(10), size(20), size(100)]))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"Time (s)", "Time against pairs (s)", "Memory (MiB)", "API requests"} <= set(texts)
    assert "10,000" in texts, "pairs of 100 nodes fit below a round number"
    assert len(root.findall(f".//{SVG}polyline")) == 8
    assert len(root.findall(f".//{SVG}circle")) == 7 * 3


def test_points_stand_where_their_values_are() -> None:
    root = ElementTree.fromstring(plot("T", [Panel("P", "x", "", [Series("s", [(0, 0), (5, 10)])])]))
    lower, upper = ((float(c.get("cx", "")), float(c.get("cy", ""))) for c in root.iter(f"{SVG}circle"))
    axes = [(float(line.get("x1", "")), float(line.get("y1", ""))) for line in root.iter(f"{SVG}line")]
    assert lower == axes[0], "the origin is where the axes meet"
    assert upper[0] > lower[0]
    assert upper[1] == min(y for x, y in axes if x == axes[0][0]), "10 is the top of its axis"


def test_texts_are_escaped() -> None:
    ElementTree.fromstring(plot("a < b & c", [Panel("<", "&", "<", [Series("&", [(1, 1)])])]))


@pytest.mark.parametrize(("value", "top"), [(0.9, 1), (1, 1), (9.7, 10), (100, 100), (101, 125), (9900, 10000)])
def test_axes_end_at_round_numbers(value: float, top: float) -> None:
    assert nice(value) == pytest.approx(top)
