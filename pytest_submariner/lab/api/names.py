"""What a name may look like, and how generateName makes one (apimachinery:pkg/util/validation, apiserver:pkg/storage/names)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.status import Cause, Object, forbidden_value, invalid_value, required

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_GENERATED = 5
_LONGEST = 63

_RULES = {
    "subdomain": (
        re.compile(_SUBDOMAIN),
        253,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
        f"an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')",
    ),
    "label": (
        re.compile(_LABEL),
        63,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
        f"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')",
    ),
    "label-1035": (
        re.compile(_LABEL_1035),
        63,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with "
        f"an alphanumeric character (e.g. 'my-name', or 'abc-123', regex used for validation is '{_LABEL_1035}')",
    ),
}
_SPECIAL = {"namespaces": "label", "services": "label-1035"}
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({_QUALIFIED})?')"
)


def generate(prefix: str) -> str:
    """`prefix` and five random characters, 63 at most in all."""
    return prefix[: _LONGEST - _GENERATED] + "".join(secrets.choice(_ALPHABET) for _ in range(_GENERATED))


def check_metadata(kind: Kind, meta: Object) -> Iterator[Cause]:
    """What is wrong with metadata.name, generateName, labels, annotations and finalizers."""
    prefix, name = meta.get("generateName") or "", meta.get("name") or ""
    if prefix:
        yield from (invalid_value("metadata.generateName", prefix, why) for why in _wrong(kind, _masked(prefix)))
    if not name:
        yield required("metadata.name", "name or generateName is required")
    yield from (invalid_value("metadata.name", name, why) for why in (_wrong(kind, name) if name else ()))
    for key, value in (meta.get("labels") or {}).items():
        yield from _check_key("metadata.labels", key)
        if len(value) > 63:
            yield invalid_value("metadata.labels", value, "must be no more than 63 characters")
        elif not re.fullmatch(_LABEL_VALUE, value):
            yield invalid_value("metadata.labels", value, _VALUE_TEXT)
    for key in meta.get("annotations") or {}:
        yield from _check_key("metadata.annotations", key.lower())
    for finalizer in meta.get("finalizers") or ():
        yield from _check_key("metadata.finalizers", finalizer)


def check_new_finalizers(meta: Object, old: Object) -> Iterator[Cause]:
    """While an object is being deleted finalizers can only be taken away."""
    if old.get("deletionTimestamp") and (
        new := sorted(set(meta.get("finalizers") or ()) - set(old.get("finalizers") or ()))
    ):
        listed = ", ".join(f'"{f}"' for f in new)
        why = (
            f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
        )
        yield forbidden_value("metadata.finalizers", why)


def _wrong(kind: Kind, name: str) -> Iterator[str]:
    if kind.group == "rbac.authorization.k8s.io":
        if name in {".", ".."}:
            yield f"may not be '{name}'"
        yield from (f"may not contain '{c}'" for c in "/%" if c in name)
        return
    if kind.qualified == "namespaces" and "." in name:
        yield "must not contain dots"
        return
    rule, longest, text = _RULES[_SPECIAL.get(kind.plural, "subdomain") if not kind.group else "subdomain"]
    if len(name) > longest:
        yield f"must be no more than {longest} characters"
    if not rule.fullmatch(name):
        yield text


def _masked(prefix: str) -> str:
    """A prefix may end in a dash: what follows is generated."""
    return f"{prefix[:-1]}a" if len(prefix) > 1 and prefix.endswith("-") else prefix


def _check_key(field: str, key: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not (prefix and len(prefix) <= 253 and _RULES["subdomain"][0].fullmatch(prefix)):
        yield invalid_value(field, key, f"prefix part {_RULES['subdomain'][2]}")
    if not name:
        yield invalid_value(field, key, "name part must be non-empty")
    elif len(name) > 63:
        yield invalid_value(field, key, "name part must be no more than 63 characters")
    elif not re.fullmatch(_QUALIFIED, name):
        yield invalid_value(field, key, _QUALIFIED_TEXT)
