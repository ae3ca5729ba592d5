"""Discovery documents, aggregated and legacy: which groups, kinds and verbs there are."""

from __future__ import annotations

from pytest_submariner.lab.api.kinds import Kind, KindRegistry
from pytest_submariner.lab.api.status import Object, PageNotFound

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


def aggregated(kinds: KindRegistry, version: str, *, core: bool) -> tuple[Object, str]:
    """The APIGroupDiscoveryList of `/api` or `/apis`, and its content type: without the parameters clients see nothing."""
    groups = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [_discovered(kinds, group, v) for v in versions],
        }
        for group, versions in kinds.group_versions().items()
        if (group == "") == core
    ]
    document = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": groups,
    }
    return document, _AGGREGATED.format(version)


def _discovered(kinds: KindRegistry, group: str, version: str) -> Object:
    return {
        "version": version,
        "resources": [_discovered_kind(k) for k in kinds.in_version(group, version)],
        "freshness": "Current",
    }


def _discovered_kind(kind: Kind) -> Object:
    found: Object = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular_name,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    if kind.all_subresources:
        found["subresources"] = [
            {
                "subresource": s.name,
                "responseKind": _subresource_kind(kind, s.group_version, s.kind),
                "verbs": list(s.verbs),
            }
            for s in kind.all_subresources
        ]
    return found


def _subresource_kind(kind: Kind, group_version: str, name: str) -> Object:
    group, _, version = (group_version or kind.api_version).rpartition("/")
    return {"group": group, "version": version, "kind": name}


def legacy(kinds: KindRegistry, path: str, host: str) -> Object:
    """`/api`, `/apis`, `/api/v1`, `/apis/GROUP` and `/apis/GROUP/VERSION`; PageNotFound for other paths."""
    parts = path.strip("/").split("/")
    if parts == ["api"]:
        address = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address}
    served = kinds.group_versions()
    if parts == ["apis"]:
        groups = [_group(g, v) for g, v in served.items() if g]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if parts == ["api", "v1"]:
        return _resources(kinds, "", "v1")
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in served:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], served[parts[1]])}
    if parts[0] == "apis" and len(parts) == 3 and parts[2] in served.get(parts[1], ()):
        return _resources(kinds, parts[1], parts[2])
    raise PageNotFound


def _group(group: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _resources(kinds: KindRegistry, group: str, version: str) -> Object:
    found: list[Object] = []
    for kind in kinds.in_version(group, version):
        entry: Object = {
            "name": kind.plural,
            "singularName": kind.singular_name,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(kind.verbs),
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        found.append(entry)
        for sub in kind.all_subresources:
            part: Object = {"name": f"{kind.plural}/{sub.name}", "singularName": "", "namespaced": kind.namespaced}
            if sub.group_version and sub.group_version != kind.api_version:
                part["group"], _, part["version"] = sub.group_version.rpartition("/")
            found.append({**part, "kind": sub.kind, "verbs": list(sub.verbs)})
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": found}
