"""What leaves a cluster with a diagnosis: objects without what nobody reads, and without secrets."""

from __future__ import annotations

import re
from typing import Any, Final

from pytest_submariner.diagnose.objects.clusterobjects import Object

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
        r"(?s:-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z))",
        r"(?P<kept>\b(?:[\w-]*(?:psk|token|secret|password|private[ _-]?key|preshared[ _-]?key))[\"']?\s*[:=]+\s*)[\"']?[^\s\"',}]+",
        r"(?P<kept>\bPSK\s+)[\"'][^\"']+[\"']",
        r"(?P<kept>\b[a-z][a-z0-9+.-]*://)[^/\s:@]+:[^/\s@]+(?=@)",
        r"\b[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9+/=])",
    )
)
"""Tokens (JWT), PEM blocks, `name=value` of what is called a secret, credentials in URLs, and whatever looks like a key: 40 or more
characters of Base64."""
_SECRET_KEY = re.compile(
    r"token|passw|psk|secret|credential|private_?key|preshared|api_?key|access_?key", re.IGNORECASE
)
_SECRET_FLAG = re.compile(r"--?[\w.-]*(?:token|passw|psk|secret|private-?key)[\w.-]*", re.IGNORECASE)
_KEPT_KEYS: Final = frozenset(
    {
        "publicKey",
        "public_key",
        "psk_digest",
        "brokerK8sSecret",
        "ceIPSecPSKSecret",
        "secretName",
        "serviceAccountToken",
    }
)
"""What is no secret by itself: public keys, a digest whose key was thrown away, names of Secrets."""


def lean(item: Object) -> Object:
    """A copy without managed fields, the images of a node, mounts, long values; credentials are blanked."""
    metadata = {key: value for key, value in (item.get("metadata") or {}).items() if key != "managedFields"}
    if "annotations" in metadata:
        metadata["annotations"] = {k: v for k, v in (metadata["annotations"] or {}).items() if k not in _ANNOTATIONS}
    lean_item = {**{key: _value(key, value) for key, value in item.items() if key != "metadata"}, "metadata": metadata}
    if isinstance(lean_item.get("status"), dict):
        lean_item["status"] = {key: value for key, value in lean_item["status"].items() if key != "images"}
    return lean_item


def redact(text: str) -> str:
    """A text, such as a log, without what is, or looks like, a secret."""
    for pattern in _IN_TEXT:
        text = pattern.sub(lambda found: (found.groupdict().get("kept") or "") + REDACTED, text)
    return text


def blank(data: Any, key: str = "") -> Any:
    """Data of JSON's types with `redact` applied to every text, and without what has the name of a secret, also as the
    argument after `--token`. Only texts change, so an observation can be read and diagnosed again."""
    if isinstance(data, dict):
        return {name: blank(value, str(name)) for name, value in _variable(data).items()}
    if isinstance(data, (list, tuple)):
        flagged = (False, *(isinstance(item, str) and _SECRET_FLAG.fullmatch(item) is not None for item in data))
        return [
            REDACTED if after and isinstance(item, str) else blank(item, key)
            for after, item in zip(flagged, data, strict=False)
        ]
    if not isinstance(data, str) or key in _KEPT_KEYS:
        return data
    return REDACTED if data and _SECRET_KEY.search(key) else redact(data)


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
