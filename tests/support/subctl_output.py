"""What stock subctl prints, as data: tables of `show`, marks of `diagnose`."""

from __future__ import annotations

import re
from collections import defaultdict

Row = dict[str, str]
_CLUSTER = re.compile(r'Cluster "([^"]+)"')
_MARK = re.compile(r" (✓|✗|⚠) (.*)")


def by_cluster(text: str) -> dict[str, list[str]]:
    """Lines after each `Cluster "name"`, without empty ones."""
    found: dict[str, list[str]] = defaultdict(list)
    cluster = ""
    for line in text.splitlines():
        if (header := _CLUSTER.fullmatch(line.strip())) is not None:
            cluster = header[1]
        elif line.strip() and cluster:
            found[cluster].append(line)
    return dict(found)


def tables(text: str) -> dict[str, list[Row]]:
    """Rows by cluster. Columns begin where their titles do; titles are three blanks apart."""
    return {cluster: _rows(lines) for cluster, lines in by_cluster(text).items()}


def _rows(lines: list[str]) -> list[Row]:
    header, *rows = lines
    titles = [(match.start(), match[0]) for match in re.finditer(r"\S+(?: \S+)*", header)]
    ends = [start for start, _ in titles[1:]] + [None]
    return [{title: row[start:end].strip() for (start, title), end in zip(titles, ends, strict=True)} for row in rows]


def problems(text: str) -> set[str]:
    """Failures and warnings of `diagnose`, `✗ text`; a message of several lines counts by its first."""
    return {f"{mark[1]} {mark[2]}" for line in text.splitlines() if (mark := _MARK.match(line)) and mark[1] != "✓"}
