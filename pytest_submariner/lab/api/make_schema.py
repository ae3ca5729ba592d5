"""Makes `schema.json` from the Go sources of k8s.io/api and k8s.io/apimachinery (any release; field numbers never change).

    go mod download -json k8s.io/api@v0.34.4 k8s.io/apimachinery@v0.34.4       # prints the two folders
    python -m pytest_submariner.lab.api.make_schema API_DIR APIMACHINERY_DIR > schema.json

The struct tags carry all three things the server needs: protobuf numbers, JSON names, and how lists are merged. `schema.py` says
how the result reads.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

_SOURCES = {
    "v1": "core/v1",
    "apps/v1": "apps/v1",
    "coordination.k8s.io/v1": "coordination/v1",
    "discovery.k8s.io/v1": "discovery/v1",
    "networking.k8s.io/v1": "networking/v1",
    "rbac.authorization.k8s.io/v1": "rbac/v1",
    "authorization.k8s.io/v1": "authorization/v1",
    "authentication.k8s.io/v1": "authentication/v1",
    "autoscaling/v1": "autoscaling/v1",
    "policy/v1": "policy/v1",
}
_ROOTS = {
    "v1": "Binding ConfigMap Endpoints Event Namespace Node Pod Secret Service ServiceAccount",
    "apps/v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "coordination.k8s.io/v1": "Lease",
    "discovery.k8s.io/v1": "EndpointSlice",
    "networking.k8s.io/v1": "NetworkPolicy",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "authorization.k8s.io/v1": "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    "authentication.k8s.io/v1": "SelfSubjectReview TokenRequest",
    "autoscaling/v1": "Scale",
    "policy/v1": "Eviction",
}
_BASIC = {
    "string": "s", "bool": "b", "int32": "i", "int64": "i", "int": "i", "uint32": "i", "byte": "y", "metav1.Time": "T", "Time": "T",
    "metav1.MicroTime": "U", "MicroTime": "U", "resource.Quantity": "Q", "intstr.IntOrString": "I", "FieldsV1": "F", "metav1.FieldsV1": "F",
    "runtime.RawExtension": "R", "types.UID": "s",
}  # fmt: skip
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
_ALIAS = re.compile(r"^type (\w+) (\[\]|map\[\w+\])?([\w.]+)$", re.M)
_FIELD = re.compile(r"^\t(?:(\w+)\s+)?([*\[\]\w.]+)\s+`(.*)`")
_NUMBER = re.compile(r'protobuf:"\w+,(\d+)')


class _Package:
    """The types of one Go package, by their name there."""

    def __init__(self, folder: Path, alias: str) -> None:
        text = "\n".join(p.read_text() for p in sorted(folder.glob("*types.go")))
        self.alias = alias
        self.structs = {m[1]: m[2] for m in _STRUCT.finditer(text)}
        self.names = {m[1]: (m[2] or "") + m[3] for m in _ALIAS.finditer(text)}


def _short(package: _Package, go_type: str, packages: dict[str, _Package]) -> str:
    """A Go type as the schema writes it: `[]Container`, `{}s`, `i`."""
    go_type = go_type.lstrip("*")
    if go_type == "[]byte":
        return "y"
    if go_type.startswith("[]"):
        return "[]" + _short(package, go_type[2:], packages)
    if found := re.fullmatch(r"map\[[\w.]+\](.+)", go_type):
        return "{}" + _short(package, found[1], packages)
    if go_type in _BASIC:
        return _BASIC[go_type]
    owner, _, name = go_type.rpartition(".")
    home = packages[owner] if owner else package
    if name in home.names:
        return _short(home, home.names[name], packages)
    if name in home.structs:
        return f"{home.alias}.{name}" if home.alias else name
    raise SystemExit(f"unknown Go type {go_type} in package {package.alias or 'core'}")


def _fields(package: _Package, body: str, packages: dict[str, _Package]) -> dict[str, list[object]]:
    """Field number to [JSON name, type, zero, merge key, patch strategy, list map keys]; the tail is left off when empty."""
    found: dict[str, list[object]] = {}
    map_keys: list[str] = []
    for line in body.splitlines():
        if comment := re.match(r"\t// \+(listMapKey|listType)=(\w+)", line):
            map_keys += [comment[2]] if comment[1] == "listMapKey" else []
            continue
        field = _FIELD.match(line)
        if not field:
            map_keys = map_keys if line.strip().startswith("//") else []
            continue
        tags = field[3]
        number = _NUMBER.search(tags)
        if not number:
            continue
        name, *options = re.search(r'json:"([^"]*)"', tags)[1].split(",")  # type: ignore[index]
        go_type = field[2]
        pointer = go_type.startswith(("*", "[]", "map["))
        zero = 1 if go_type.startswith("*") else 0 if "omitempty" in options else 1 if pointer else 2
        strategy = re.search(r'patchStrategy:"([^"]*)"', tags)
        key = re.search(r'patchMergeKey:"([^"]*)"', tags)
        entry: list[object] = [name, _short(package, go_type, packages), zero]
        entry += [key[1] if key else "", strategy[1] if strategy else "", map_keys]
        while len(entry) > 2 and not entry[-1]:
            entry.pop()
        found[number[1]] = entry
        map_keys = []
    return found


def main(api: str, machinery: str) -> None:
    packages = {"metav1": _Package(Path(machinery) / "pkg/apis/meta/v1", "meta")}
    for version, folder in _SOURCES.items():
        packages[version] = _Package(Path(api) / folder, "" if version == "v1" else folder.split("/")[0])
    packages["v1"] = packages["corev1"] = packages["v1"]
    types: dict[str, object] = {}
    kinds = {f"{version}/{k}": "" for version, names in _ROOTS.items() for k in names.split()}
    waiting: list[tuple[_Package, str]] = [(packages["metav1"], "DeleteOptions")]
    for root in kinds:
        version, _, name = root.rpartition("/")
        kinds[root] = f"{packages[version].alias}.{name}" if packages[version].alias else name
        waiting.append((packages[version], name))
    homes = {p.alias: p for p in packages.values()}
    while waiting:
        package, name = waiting.pop()
        full = f"{package.alias}.{name}" if package.alias else name
        if full in types:
            continue
        types[full] = fields = _fields(package, package.structs[name], packages)
        for entry in fields.values():
            used = str(entry[1]).replace("[]", "").replace("{}", "")
            alias, _, type_name = used.rpartition(".")
            if len(used) > 1:
                waiting.append((homes[alias], type_name))
    kinds["meta.k8s.io/v1/DeleteOptions"] = kinds["v1/DeleteOptions"] = "meta.DeleteOptions"
    lines = (f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in sorted(types.items()))
    sys.stdout.write(
        '{"kinds":' + json.dumps(kinds, separators=(",", ":")) + ',\n"types":{\n' + ",\n".join(lines) + "\n}}\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
