"""Status conditions and timestamps, as every kind of Kubernetes object carries them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]


def now() -> str:
    """RFC 3339 in UTC, whole seconds: `2026-01-31T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_condition(item: Object, kind: str, status: str, *, reason: str, message: str, at: str) -> None:
    """Add or replace the condition of that type; its transition time moves only when `status` does."""
    conditions: list[Object] = item.setdefault("status", {}).setdefault("conditions", [])
    condition = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}
    for index, old in enumerate(conditions):
        if old["type"] == kind:
            if old["status"] == status:
                condition["lastTransitionTime"] = old.get("lastTransitionTime", at)
            conditions[index] = {**old, **condition}
            return
    conditions.append(condition)


def is_true(item: Object, kind: str) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)
