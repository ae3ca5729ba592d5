"""Object metadata: its order, its times, and what an update may not touch."""

from __future__ import annotations

from datetime import UTC, datetime

from pytest_submariner.lab.api.status import Object

_ORDER = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers", "managedFields",
)  # fmt: skip
SYSTEM = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds",
)  # fmt: skip
"""The server's own: an update keeps what was there."""
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def now() -> str:
    """RFC 3339 in whole seconds, as metav1.Time."""
    return timestamp(datetime.now(UTC))


def timestamp(moment: datetime) -> str:
    return moment.strftime(_FORMAT)


def moment_of(text: str) -> datetime:
    """The inverse of `timestamp`."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)


def ordered(meta: Object) -> Object:
    """Metadata in the genuine order, without empty values; a grace period of zero counts once deletion was asked for."""
    empty: tuple[object, ...] = (None, "", [], {})
    marked = bool(meta.get("deletionTimestamp"))
    return {
        k: meta[k]
        for k in _ORDER
        if meta.get(k) not in empty and (meta[k] != 0 or (marked and k == "deletionGracePeriodSeconds"))
    }
