"""Marks on what we create in a cluster, so that the next run finds and removes what a killed one left."""

from __future__ import annotations

import time
from typing import Any

OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "pytest-submariner"
EXPIRES_ANNOTATION = "pytest-submariner/expires"
"""Seconds since 1970: whoever finds the namespace later than that may remove it."""


def namespace(name: str, lifetime_s: float, *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """A namespace of ours that may hold privileged pods (Pod Security, and OpenShift's copy of it)."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                OWNER_LABEL: OWNER,
                "pod-security.kubernetes.io/enforce": "privileged",
                "security.openshift.io/scc.podSecurityLabelSync": "false",
                **(labels or {}),
            },
            "annotations": {EXPIRES_ANNOTATION: str(int(time.time() + lifetime_s))},
        },
    }
