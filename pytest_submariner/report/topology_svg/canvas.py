"""SVG elements one by one. Text goes through ElementTree, which escapes it; what XML cannot hold becomes U+FFFD."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Point = tuple[float, float]


class Canvas:
    """An `<svg>` under construction; every method adds one element to `into`, or to the picture itself."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {number(width)} {number(height)}",
                "width": number(width),
                "height": number(height),
                "class": "topology",
                "role": "img",
                "aria-label": clean(f"{title}. {description}"),
            },
        )

    def style(self, css: str) -> None:
        ET.SubElement(self.root, "style").text = css

    def group(self, css: str, title: str = "") -> ET.Element:
        """A `<g>`; `title` shows when one points at it."""
        group = ET.SubElement(self.root, "g", {"class": css})
        if title:
            ET.SubElement(group, "title").text = clean(title)
        return group

    def rect(
        self, x: float, y: float, width: float, height: float, css: str, *, radius: float, into: ET.Element
    ) -> None:
        box = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
        ET.SubElement(into, "rect", {name: number(value) for name, value in box.items()} | {"class": css})

    def line(self, points: Sequence[Point], css: str, *, into: ET.Element) -> None:
        """A polyline with round corners."""
        data = "M" + _at(points[0])
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            data += f"L{_at(_toward(corner, before))}Q{_at(corner)} {_at(_toward(corner, after))}"
        ET.SubElement(into, "path", {"d": f"{data}L{_at(points[-1])}", "class": css})

    def arrow(self, tip: Point, direction: str, css: str, *, into: ET.Element) -> None:
        """A small triangle whose point is at `tip`; `direction` is up, down, left or right."""
        x, y = tip
        along, across = {"up": (0, 1), "down": (0, -1), "left": (1, 0), "right": (-1, 0)}[direction], 5
        back = (x + along[0] * 9, y + along[1] * 9)
        sides = [(back[0] + along[1] * s * across, back[1] + along[0] * s * across) for s in (1, -1)]
        data = "M" + "L".join(f"{number(px)} {number(py)}" for px, py in ((x, y), *sides)) + "Z"
        ET.SubElement(into, "path", {"d": data, "class": css})

    def cross(self, at: Point, css: str, *, into: ET.Element) -> None:
        """A disc with a cross: something is lost here."""
        x, y = at
        ET.SubElement(into, "circle", {"cx": number(x), "cy": number(y), "r": "9", "class": css})
        data = f"M{number(x - 4)} {number(y - 4)}l8 8m0 -8l-8 8"
        ET.SubElement(into, "path", {"d": data, "class": f"{css}-cross"})

    def text(self, x: float, y: float, words: str, css: str, *, into: ET.Element, anchor: str = "start") -> None:
        """`y` is the base line."""
        attributes = {"x": number(x), "y": number(y), "class": css}
        if anchor != "start":
            attributes["text-anchor"] = anchor
        ET.SubElement(into, "text", attributes).text = clean(words)

    def __str__(self) -> str:
        return ET.tostring(self.root, encoding="unicode")


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _toward(corner: Point, other: Point, most: float = 10) -> Point:
    """Where the rounding of a corner begins, at most half the way to the next one."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = math.hypot(dx, dy) or 1
    share = min(most, length / 2) / length
    return corner[0] + dx * share, corner[1] + dy * share


def number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def clean(words: str) -> str:
    return _NOT_XML.sub("\ufffd", words)


def shorten(words: str, characters: int) -> str:
    """At most so many characters. Of a host name with a domain the host stays; else the middle goes."""
    words = clean(words)
    if len(words) <= characters:
        return words
    host = words.split(".", 1)[0]
    if host != words and 0 < len(host) < characters:
        return f"{host}…"
    head = (characters - 1) * 2 // 3
    return f"{words[:head]}…{words[len(words) - (characters - 1 - head) :]}"
