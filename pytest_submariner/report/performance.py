"""Figures of paths under load as tables: terminal, Allure, JUnit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_submariner.model.path import PathCase
from pytest_submariner.model.performance import Figure, Measure, State
from pytest_submariner.report.junit import PREFIX
from pytest_submariner.report.spans import Line, Span
from pytest_submariner.report.text import KINDS, count, pair, title

_STYLE = {State.MISSED: "bad", State.FAILED: "bad", State.ERROR: "bad", State.SKIPPED: "unsure"}
_COLUMNS = (
    "id,source_node,target_node,state,mbit_s,retransmits,segment_bytes,p50_ms,p90_ms,p99_ms,max_ms,ratio,intra_id"
)


def lines(figures: Sequence[Figure]) -> Iterator[Line]:
    """The terminal's section: throughput by streams, round trips by percentiles, and why what is missing is missing."""
    throughput = [f for f in figures if f.has_value and f.case.measure is Measure.THROUGHPUT]
    latency = [f for f in figures if f.has_value and f.case.measure is Measure.LATENCY]
    if throughput:
        yield from _throughput(throughput)
    if latency:
        yield from [()] if throughput else []
        yield from _latency(latency)
    absent = [f for f in figures if not f.has_value]
    if absent and (throughput or latency):
        yield ()
    reasons: dict[tuple[State, str], int] = {}
    for figure in absent:
        key = figure.state, figure.detail
        reasons[key] = reasons.get(key, 0) + 1
    for (state, detail), number in reasons.items():
        word = "skipped" if state is State.SKIPPED else "not measured:"
        yield (Span(f"{word} {count(number, 'figure')}", _STYLE[state]), Span(f": {detail}"))


def _throughput(figures: Sequence[Figure]) -> Iterator[Line]:
    streams = sorted({f.case.streams for f in figures})
    heads = "".join(f"{count(n, 'stream'):>11}   of intra" for n in streams)
    yield (Span(f"{'throughput, Mbit/s':<34}{heads}", "head"),)
    for path, group in _by_path(figures):
        spans = [Span(f"{path:<34}")]
        found = {f.case.streams: f for f in group}
        for number in streams:
            figure = found.get(number)
            if figure is None:
                spans.append(Span(" " * 22))
                continue
            share = f"{figure.ratio:.0%}" if figure.ratio is not None else ""
            spans.append(Span(f"{figure.mbit_s:>11,.0f}", _STYLE.get(figure.state, "")))
            spans.append(Span(f"{share:>11}"))
        yield _stripped(spans)


def _latency(figures: Sequence[Figure]) -> Iterator[Line]:
    heads = "".join(f"{name:>8}" for name in ("p50", "p90", "p99", "max"))
    yield (Span(f"{'round trips, ms':<34}{heads}   × intra", "head"),)
    for path, group in _by_path(figures):
        for figure in group:
            trips = figure.round_trips
            if trips is None:
                continue
            name = f"{path} {figure.case.path.protocol.value}"
            text = "".join(f"{value:>8.3f}" for value in (trips.p50, trips.p90, trips.p99, trips.max))
            times = f"{figure.ratio:.1f}" if figure.ratio is not None else ""
            yield _stripped([Span(f"{name:<34}"), Span(text, _STYLE.get(figure.state, "")), Span(f"{times:>10}")])


def _stripped(spans: list[Span]) -> Line:
    while spans and not spans[-1].text.strip():
        spans.pop()
    return tuple(spans)


def _by_path(figures: Sequence[Figure]) -> Iterator[tuple[str, list[Figure]]]:
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        groups.setdefault(_name(figure.case.path), []).append(figure)
    yield from groups.items()


def _name(path: PathCase) -> str:
    """`c1 → c2  pod ngw → pod ngw`."""
    where = pair(path) if path.is_cross_cluster else f"in {path.source.cluster}"
    return f"{where:<8} {path.source.kind} {path.source.place} → {path.target.kind} {path.target.place}"


def properties(figure: Figure) -> list[tuple[str, str]]:
    """For `item.user_properties`, as those of paths."""
    trips = figure.round_trips
    values = {
        "figure_id": figure.id,
        "state": figure.state.value,
        "from": figure.source_node,
        "to": figure.target_node,
        "mbit_s": None if figure.mbit_s is None else f"{figure.mbit_s:.1f}",
        "rtt_p50_ms": None if trips is None else f"{trips.p50:.3f}",
        "rtt_p99_ms": None if trips is None else f"{trips.p99:.3f}",
        "ratio_to_intra": None if figure.ratio is None else f"{figure.ratio:.3f}",
    }
    return [(PREFIX + name, value) for name, value in values.items() if value]


def table(figures: Sequence[Figure]) -> str:
    """CSV, a row for each."""
    rows = [_COLUMNS]
    for f in figures:
        trips = f.round_trips
        times = (trips.p50, trips.p90, trips.p99, trips.max) if trips else (None,) * 4
        cells = (f.id, f.source_node, f.target_node, f.state.value, f.mbit_s, f.retransmits, f.segment_bytes)
        rows.append(",".join("" if c is None else str(c) for c in (*cells, *times, f.ratio, f.intra_id)))
    return "\n".join(rows) + "\n"


def tell_allure(figure: Figure, known: Sequence[Figure]) -> None:
    """Title and place of the running item, and a table: its figure beside that inside the cluster and the others of its measure."""
    import allure

    from pytest_submariner.report.allure import _dynamic

    case = figure.case
    what = f"throughput, {count(case.streams, 'stream')}" if case.measure is Measure.THROUGHPUT else "latency"
    dynamic = _dynamic()
    dynamic.title(f"{title(case.path)}: {what}")
    dynamic.epic("Throughput and latency")
    dynamic.feature(case.measure.value.capitalize())
    ends = (case.path.source, case.path.target)
    dynamic.story(" → ".join(f"{KINDS[end.kind]} {end.place}" for end in ends))
    dynamic.parent_suite(pair(case.path))
    dynamic.suite("Throughput and latency")
    dynamic.severity("minor")
    if figure.detail:
        with allure.step(figure.detail):
            pass
    if figure.ratio is not None:
        words = f"{figure.ratio:.0%} of" if case.measure is Measure.THROUGHPUT else f"{figure.ratio:.1f} times"
        with allure.step(f"{words} {figure.intra_id}"):
            pass
    others = [f for f in known if f.case.measure is case.measure and f.case.streams == case.streams]
    allure.attach(table(others), f"figures: {what}", allure.attachment_type.CSV)
