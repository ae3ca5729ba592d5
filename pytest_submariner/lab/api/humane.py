"""Texts as `kubectl get` shows them: ages, selectors, lists (apimachinery:pkg/util/duration, kubectl's printers)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def age(timestamp: str | None) -> str:
    """How long ago, `<unknown>` without a time."""
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    return duration(int((datetime.now(UTC) - then).total_seconds()))


def duration(seconds: int) -> str:
    """`119s`, `5m12s`, `123m`, `3h4m`, `30h`, `3d4h`, `300d`, `2y5d`: fewer digits the longer it is."""
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    if seconds < 10 * _MINUTE:
        return _two(seconds, _MINUTE, "m", 1, "s")
    if seconds < 3 * _HOUR:
        return f"{seconds // _MINUTE}m"
    if seconds < 8 * _HOUR:
        return _two(seconds, _HOUR, "h", _MINUTE, "m")
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR}h"
    if seconds < 8 * _DAY:
        return _two(seconds, _DAY, "d", _HOUR, "h")
    if seconds < 2 * _YEAR:
        return f"{seconds // _DAY}d"
    return _two(seconds, _YEAR, "y", _DAY, "d") if seconds < 8 * _YEAR else f"{seconds // _YEAR}y"


def _two(seconds: int, big: int, big_unit: str, small: int, small_unit: str) -> str:
    rest = seconds % big // small
    return f"{seconds // big}{big_unit}{rest}{small_unit}" if rest else f"{seconds // big}{big_unit}"


def joined(values: Iterable[object], empty: str = "<none>") -> str:
    """With commas."""
    return ",".join(str(v) for v in values) or empty


def labels(found: dict[str, str] | None) -> str:
    """`a=b,c=d` in order of the keys."""
    return joined(f"{k}={v}" for k, v in sorted((found or {}).items()))


def shortened(values: list[str], shown: int = 3) -> str:
    """The first few, and how many more there are."""
    text = joined(values[:shown])
    return f"{text} + {len(values) - shown} more..." if len(values) > shown else text


def selector(found: Mapping[str, Any] | None) -> str:
    """A LabelSelector on one line."""
    parts = [f"{k}={v}" for k, v in sorted(((found or {}).get("matchLabels") or {}).items())]
    for term in (found or {}).get("matchExpressions") or ():
        key, operator, values = term["key"], term["operator"], ",".join(term.get("values") or ())
        simple = {"Exists": key, "DoesNotExist": f"!{key}"}
        parts.append(simple.get(operator) or f"{key} {operator.lower()} ({values})")
    return ",".join(parts) or "<none>"
