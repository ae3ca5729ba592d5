"""What leaves a cluster with a diagnosis: objects without what nobody reads, and without secrets."""

from __future__ import annotations

import re
from typing import Any, Final

from pytest_submariner.diagnose.clusterobjects import Object

REDACTED: Final = "(redacted)"
_LONGEST = 300
_SECRET_FIELDS: Final = frozenset({"brokerK8sApiServerToken", "brokerK8sCA", "ceIPSecPSK"})
"""submariner-operator:api/v1alpha1/submariner_types.go"""
_SECRET_VARIABLE = re.compile(r"TOKEN|PASS|PSK|SECRET|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|_CA$", re.IGNORECASE)
_NAMES_OF_SECRETS: Final = frozenset({"BROKER_K8S_SECRET", "CE_IPSEC_PSKSECRET"})
"""Variables that look like secrets and only name one (submariner-operator:controllers/submariner/gateway_resources.go)."""
_ANNOTATIONS: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
"""A copy of the object, secrets included."""
_IN_TEXT: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<kept>\bbearer\s+)\S+",
        r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",
        r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|$)",
        r"(?P<kept>\b(?:[\w-]*(?:psk|token|secret|password|private[ _-]?key|preshared[ _-]?key))[\"']?\s*[:=]+\s*)[\"']?[^\s\"',}]+",
        r"(?P<kept>\bPSK\s+)[\"'][^\"']+[\"']",
        r"\b[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9+/=])",
    )
)
"""Tokens (JWT), PEM blocks, `name=value` of what is called a secret, and whatever looks like a key: 40 or more characters of Base64."""


def lean(item: Object) -> Object:
    """A copy without managed fields, the images of a node, mounts, long values; credentials are blanked."""
    metadata = {key: value for key, value in (item.get("metadata") or {}).items() if key != "managedFields"}
    if "annotations" in metadata:
        metadata["annotations"] = {k: v for k, v in (metadata["annotations"] or {}).items() if k not in _ANNOTATIONS}
    lean_item = {**{key: _value(key, value) for key, value in item.items() if key != "metadata"}, "metadata": metadata}
    if isinstance(lean_item.get("status"), dict):
        lean_item["status"] = {key: value for key, value in lean_item["status"].items() if key != "images"}
    return lean_item


def redact(line: str) -> str:
    """A line of a log without what is, or looks like, a secret."""
    for pattern in _IN_TEXT:
        line = pattern.sub(lambda found: (found.groupdict().get("kept") or "") + REDACTED, line)
    return line


def _value(key: str, value: Any) -> Any:
    if key in _SECRET_FIELDS:
        return REDACTED if value else value
    if key in {"volumeMounts", "volumes"}:
        return []
    if isinstance(value, list):
        return [_variable(entry) if key == "env" else _value("", entry) for entry in value]
    if isinstance(value, dict):
        return {name: _value(name, entry) for name, entry in value.items()}
    return value


def _variable(entry: Any) -> Any:
    if not isinstance(entry, dict) or "value" not in entry:
        return entry
    name, value = str(entry.get("name", "")), str(entry["value"])
    if _SECRET_VARIABLE.search(name) and name not in _NAMES_OF_SECRETS:
        return {**entry, "value": REDACTED}
    return {**entry, "value": value if len(value) <= _LONGEST else value[:_LONGEST] + "…"}
