"""One kubeconfig of contexts from several, for programs that take only one file: nothing is left in it but those contexts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pytest_submariner.errors import TopologyError
from pytest_submariner.kube.kubeconfig import choose

Object = dict[str, Any]
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile", "token-file")
"""Keys whose relative paths start from the file they are in."""


def merge(contexts: Mapping[str, tuple[str | None, str | None]]) -> Object:
    """`contexts`: the name of a context to be -> (kubeconfig, context), as `open_access` takes them. Cluster and user get that name too,
    so that two files which use the same names (`kubernetes-admin@kubernetes`) do not become one. TopologyError as there."""
    made: Object = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [],
        "users": [],
        "contexts": [],
        "preferences": {},
    }
    for name, (kubeconfig, context) in contexts.items():
        choice = choose(kubeconfig, context)
        documents = [(path, yaml.safe_load(path.read_text(encoding="utf-8"))) for path in choice.paths]
        chosen = _entry(documents, "contexts", choice.context, choice.origin)["context"] or {}
        cluster = _entry(documents, "clusters", chosen.get("cluster"), choice.origin)
        made["clusters"].append({"name": name, "cluster": cluster["cluster"]})
        user = chosen.get("user")
        made["users"].append(
            {"name": name, "user": _entry(documents, "users", user, choice.origin)["user"] if user else {}}
        )
        made["contexts"].append({"name": name, "context": {**chosen, "cluster": name, "user": name}})
    return made


def _entry(documents: list[tuple[Path, Object]], kind: str, name: object, origin: str) -> Object:
    """The first file that has the name counts, as for kubectl (client-go:tools/clientcmd/loader.go)."""
    for path, document in documents:
        for entry in document.get(kind) or []:
            if entry.get("name") == name:
                word = kind.removesuffix("s")
                return {**entry, word: _absolute(entry.get(word) or {}, path.absolute().parent)}
    raise TopologyError(f"{origin} cannot be used: its {kind.removesuffix('s')} {name!r} is in none of the files")


def _absolute(settings: Object, folder: Path) -> Object:
    found: Object = {key: str(folder / value) if key in _FILES and value else value for key, value in settings.items()}
    plugin = found.get("exec") or {}
    if "/" in (plugin.get("command") or ""):
        found["exec"] = {**plugin, "command": str(folder / plugin["command"])}
    return found
