"""Label and field selectors: text in, a predicate on objects out (apimachinery:pkg/labels, pkg/fields)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.status import Object, StatusError, bad_request

Matcher = Callable[[Object], bool]

_TOKEN = re.compile(r"\s*(!=|==|=|!|<|>|\(|\)|,|[^\s=!<>(),]+)")
_OPERATORS = "in, notin, =, ==, !=, gt, lt"
_METADATA = ("metadata.name", "metadata.namespace")


@dataclass(frozen=True)
class Requirement:
    """One condition on one label; `operator` is in, notin, exists, absent, gt or lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
        try:
            number, bound = int(value or ""), int(self.values[0])
        except ValueError:
            return False
        return number > bound if self.operator == "gt" else number < bound


def parse_labels(text: str) -> list[Requirement]:
    """`a=b,c in (d,e),!f` to its requirements; 400 with the genuine text otherwise."""
    tokens = [t for t in _TOKEN.findall(text) if t]
    tokens.append("")
    found, at = [], 0
    while tokens[at]:
        requirement, at = _requirement(tokens, at)
        found.append(requirement)
        if tokens[at] == "," and tokens[at + 1]:
            at += 1
        elif tokens[at]:
            raise _unparsed(f"found '{tokens[at]}', expected: ',' or 'end of string'")
    return found


def _requirement(tokens: list[str], at: int) -> tuple[Requirement, int]:
    if tokens[at] == "!":
        return Requirement(_word(tokens[at + 1]), "absent"), at + 2
    key, operator = _word(tokens[at]), tokens[at + 1]
    if operator in {"", ","}:
        return Requirement(key, "exists"), at + 1
    if operator in {"=", "==", "!="}:
        value, at = (tokens[at + 2], at + 3) if tokens[at + 2] not in {"", ","} else ("", at + 2)
        return Requirement(key, "notin" if operator == "!=" else "in", (value,)), at
    if operator in {"<", ">"}:
        if not re.fullmatch(r"-?\d+", tokens[at + 2]):
            raise _unparsed(f"for 'Gt', 'Lt' operators, the value must be an integer: {tokens[at + 2]!r}")
        return Requirement(key, "gt" if operator == ">" else "lt", (tokens[at + 2],)), at + 3
    if operator in {"in", "notin"}:
        if tokens[at + 2] != "(":
            raise _unparsed(f"found '{tokens[at + 2]}' expected: '('")
        end = next((i for i in range(at + 3, len(tokens)) if tokens[i] == ")"), None)
        if end is None:
            raise _unparsed("found '', expected: ',' or ')'")
        return Requirement(key, operator, _values(tokens[at + 3 : end])), end + 1
    raise _unparsed(f"found '{operator}', expected: {_OPERATORS}")


def _word(token: str) -> str:
    if not token or token in {"=", "==", "!=", "<", ">", "(", ")", ",", "!"}:
        raise _unparsed(f"found '{token}', expected: !, identifier, or 'end of string'")
    return token


def _values(tokens: list[str]) -> tuple[str, ...]:
    """Between commas there may be nothing: that is the empty value."""
    values, expect_value = [], True
    for token in tokens:
        if token == ",":
            if expect_value:
                values.append("")
            expect_value = True
        else:
            values.append(token)
            expect_value = False
    return tuple(values + ([""] if expect_value else []))


def _unparsed(why: str) -> StatusError:
    return bad_request(f"unable to parse requirement: {why}")


def parse_fields(text: str, kind: Kind) -> list[tuple[str, bool, str]]:
    """`a.b=c,d!=e` to (path, equal, value) triples; 400 for a label the kind does not support."""
    supported = (*_METADATA, *kind.field_labels)
    terms = list(_field_terms(text))
    for path, _, _ in terms:
        if path in supported:
            continue
        if kind.custom or kind.field_labels:
            raise bad_request(f"field label not supported: {path}")
        raise bad_request(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')
    return terms


def _field_terms(text: str) -> Iterator[tuple[str, bool, str]]:
    for term in filter(None, re.split(r"(?<!\\),", text)):
        match = re.fullmatch(r"(.*?)(!=|==|=)(.*)", term)
        if not match:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        path, operator, value = match.groups()
        yield path, operator != "!=", re.sub(r"\\(.)", r"\1", value)


def field_value(obj: Object, path: str) -> str:
    """The field as selectors compare it: absent is the empty string, booleans are `true` and `false`."""
    if path == "source":
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None or isinstance(value, bool):
        return "true" if value else ("false" if path in {"spec.unschedulable", "spec.hostNetwork"} else "")
    return str(value)


def matcher(kind: Kind, labels: str, fields: str, name: str | None = None) -> Matcher | None:
    """One predicate for both selectors, None when everything matches."""
    requirements = parse_labels(labels) if labels else []
    terms = parse_fields(fields, kind) if fields else []
    if name is not None:
        terms = [*terms, ("metadata.name", True, name)]
    if not requirements and not terms:
        return None

    def matches(obj: Object) -> bool:
        have = obj["metadata"].get("labels") or {}
        return all(r.matches(have) for r in requirements) and all(
            (field_value(obj, path) == value) == equal for path, equal, value in terms
        )

    return matches
