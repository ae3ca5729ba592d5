"""Reads what `subctl verify --verbose` prints while it runs (`ginkgo:reporters/default_reporter.go`): which spec ended how, and
the namespaces it made."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_RULE = re.compile(r"-{30}")
_LABELS = re.compile(r"\s*\[[^\[\]]*\]\s*$")
_ENDED = re.compile(r"(?P<mark>•|S)(?: \[(?P<word>[A-Z]+)\])? \[(?P<seconds>[\d.]+) seconds\]")
_SELECTED = re.compile(r"Will run (\d+) of \d+ specs")
_GENERATED = re.compile(r'Generated namespace "([a-z0-9-]+)" in cluster')


@dataclass(frozen=True)
class SpecEnded:
    """`text` is the spec's title without labels, `word` what became of it: `passed`, `failed`, `skipped`, `interrupted`, …"""

    text: str
    word: str
    seconds: float


def plain(line: str) -> str:
    """Without colours, which subctl always prints, and without the end of line."""
    return _COLOUR.sub("", line).rstrip()


class Progress:
    """Feed it line by line."""

    def __init__(self) -> None:
        self.selected: int | None = None
        """How many specs will run; None until subctl has said so."""
        self.namespaces: list[str] = []
        """Test namespaces, the same name in every cluster. subctl deletes each after its spec, unless it is killed."""
        self._title = ""
        self._title_is_next = False

    def feed(self, line: str) -> SpecEnded | None:
        """A plain line. What ended with it, if anything did."""
        if _RULE.fullmatch(line):
            self._title, self._title_is_next = "", True
            return None
        if self._title_is_next:
            self._title, self._title_is_next = _LABELS.sub("", line).strip(), False
            return None
        if (found := _GENERATED.search(line)) is not None:
            self.namespaces.append(found[1])
        elif (found := _SELECTED.fullmatch(line)) is not None:
            self.selected = int(found[1])
        elif self._title and (found := _ENDED.match(line)) is not None:
            word = found["word"] or ("passed" if found["mark"] == "•" else "skipped")
            return SpecEnded(self._title, word.lower(), float(found["seconds"]))
        return None
