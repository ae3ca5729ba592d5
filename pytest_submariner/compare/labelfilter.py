"""Ginkgo's label filter: whether a spec was selected. Its grammar: `!`, `&&`, `||` or `,`, parentheses, labels, `/regex/`."""

from __future__ import annotations

import re
from collections.abc import Collection

_TOKEN = re.compile(r"\s*(&&|\|\||[!(),]|/(?:[^/\\]|\\.)*/|[^&|!(),/]+)")


def selects(expression: str, labels: Collection[str]) -> bool:
    """Whether `expression` holds for a spec with `labels`; an empty one selects all. ValueError when it cannot be read.

    Labels are compared without regard to case and surrounding blanks, as Ginkgo does (`ginkgo:types/label_filter.go`).
    """
    if not expression.strip():
        return True
    parser = _Parser(expression, {label.strip().lower() for label in labels})
    found = parser.any_of()
    if parser.rest:
        raise ValueError(f"label filter {expression!r}: {parser.rest[0]!r} is not expected")
    return found


class _Parser:
    """Recursive descent over tokens; every method eats what it understands and returns its truth."""

    def __init__(self, expression: str, labels: Collection[str]) -> None:
        self.labels = labels
        self.rest: list[str] = []
        position = 0
        while expression[position:].strip():
            match = _TOKEN.match(expression, position)
            if match is None:
                raise ValueError(f"label filter {expression!r}: cannot read it from {expression[position:]!r} on")
            self.rest.append(match[1].strip())
            position = match.end()

    def any_of(self) -> bool:
        found = self.all_of()
        while self.rest and self.rest[0] in ("||", ","):
            self.rest.pop(0)
            right = self.all_of()
            found = found or right
        return found

    def all_of(self) -> bool:
        found = self.one()
        while self.rest and self.rest[0] == "&&":
            self.rest.pop(0)
            right = self.one()
            found = found and right
        return found

    def one(self) -> bool:
        if not self.rest:
            raise ValueError("label filter ends where a label is expected")
        token = self.rest.pop(0)
        if token == "!":
            return not self.one()
        if token == "(":
            found = self.any_of()
            if not self.rest or self.rest.pop(0) != ")":
                raise ValueError("label filter has a parenthesis without its partner")
            return found
        if token in ("&&", "||", ",", ")"):
            raise ValueError(f"label filter has {token!r} where a label is expected")
        if token.startswith("/"):
            return any(re.search(token[1:-1], label) for label in self.labels)
        return token.lower() in self.labels
