"""Label selectors and node selector terms, as Kubernetes matches them (apimachinery:pkg/labels, component-helpers:scheduling)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]


def matches_labels(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """All of `wanted` are in `labels`; true for an empty `wanted`."""
    return all(labels.get(key) == value for key, value in wanted.items())


def matches_selector(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """A LabelSelector (`matchLabels`, `matchExpressions`). None matches nothing, the empty one everything."""
    if selector is None:
        return False
    return matches_labels(selector.get("matchLabels") or {}, labels) and _all(selector.get("matchExpressions"), labels)


def matches_terms(terms: Iterable[Object], node: Object) -> bool:
    """A node selector: any one of its terms (they are OR-ed; an empty term matches no node)."""
    return any(matches_term(term, node) for term in terms)


def matches_term(term: Object, node: Object) -> bool:
    expressions, fields = term.get("matchExpressions"), term.get("matchFields")
    if not expressions and not fields:
        return False
    metadata = node["metadata"]
    return _all(expressions, metadata.get("labels") or {}) and _all(fields, {"metadata.name": metadata["name"]})


def _all(requirements: Iterable[Object] | None, labels: Mapping[str, str]) -> bool:
    return all(_meets(requirement, labels) for requirement in requirements or ())


def _meets(requirement: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values  # an absent label is not in the list either
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return _number(value, values) > 0
        case "Lt":
            return _number(value, values) < 0
    return False


def _number(value: str | None, values: list[str]) -> int:
    """How the label compares to the one value given; 0 when either is no integer."""
    try:
        return int(value or "") - int(values[0])
    except (ValueError, IndexError):
        return 0
