"""Line charts as SVG, side by side: axes from zero, a legend per panel, nothing that needs a library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 380, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 44
COLUMNS = 2
HEAD = 36
TICKS = 5
COLOURS = ("#0969da", "#bc4c00", "#1a7f37")


@dataclass(frozen=True)
class Series:
    """`points` are (x, y), in the order of x."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    title: str
    x_label: str
    unit: str
    series: Sequence[Series]


def plot(title: str, panels: Sequence[Panel]) -> str:
    """A whole document."""
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * WIDTH, HEAD + rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS)
        parts.append(f'<g transform="translate({column * WIDTH} {HEAD + row * HEIGHT})">')
        parts += _panel(panel)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel) -> Iterator[str]:
    x_top = nice(max(x for series in panel.series for x, _ in series.points))
    y_top = nice(max(y for series in panel.series for _, y in series.points))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    right, bottom = LEFT + wide, TOP + high
    unit = f" ({panel.unit})" if panel.unit else ""
    yield f'<text x="{LEFT}" y="14" font-size="13" font-weight="bold">{escape(panel.title + unit)}</text>'
    for tick in range(TICKS + 1):
        y, x = bottom - high * tick / TICKS, LEFT + wide * tick / TICKS
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#d1d9e0"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(y_top * tick / TICKS)}</text>'
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(x_top * tick / TICKS)}</text>'
    yield f'<text x="{LEFT + wide / 2}" y="{bottom + 34}" text-anchor="middle">{escape(panel.x_label)}</text>'
    for number, series in enumerate(panel.series):
        colour, dash = COLOURS[number % len(COLOURS)], ' stroke-dasharray="5 4"' if series.dashed else ""
        places = [(LEFT + wide * x / x_top, bottom - high * y / y_top) for x, y in series.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        if not series.dashed:
            yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
        key = LEFT + 8 + number * 130
        yield f'<line x1="{key}" y1="{TOP - 12}" x2="{key + 18}" y2="{TOP - 12}" stroke="{colour}" stroke-width="2"{dash}/>'
        yield f'<text x="{key + 24}" y="{TOP - 8}">{escape(series.name)}</text>'


def nice(value: float) -> float:
    """The next number above that five equal steps divide well: 1, 2, 2.5 or 5 times a power of ten per step."""
    step = max(value, 1e-9) / TICKS
    power = 10.0 ** math.floor(math.log10(step))
    return TICKS * power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"
