"""What a pod refers to: its own fields, its containers' resources, ConfigMaps and Secrets."""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass
from typing import Any

from pytest_submariner.errors import LabError
from pytest_submariner.lab.kubeapi import KubeApi
from pytest_submariner.lab.spec import NodeSpec

Object = dict[str, Any]
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


class ConfigError(LabError):
    """The pod asks for what is not there; the container waits with CreateContainerConfigError until it is."""


@dataclass(frozen=True)
class References:
    """Looks things up for one pod."""

    api: KubeApi
    pod: Object
    node: NodeSpec
    pod_ip: str

    def field(self, path: str) -> str:
        """Value of a `fieldRef`; ConfigError for a path the downward API does not have."""
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        if match := _SUBSCRIPT.fullmatch(path):
            return str((metadata.get(match[1]) or {}).get(match[2], ""))
        match path:
            case "metadata.name" | "metadata.namespace" | "metadata.uid":
                return str(metadata[path.removeprefix("metadata.")])
            case "metadata.labels" | "metadata.annotations":
                held = metadata.get(path.removeprefix("metadata.")) or {}
                return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(held.items()))
            case "spec.nodeName":
                return self.node.name
            case "spec.serviceAccountName":
                return str(spec.get("serviceAccountName") or "default")
            case "status.hostIP" | "status.hostIPs":
                return self.node.ip
            case "status.podIP" | "status.podIPs":
                return self.pod_ip
        raise ConfigError(f"fieldPath {path!r} is not a field of a pod that containers can read")

    def resource(self, container: Object, selector: Object) -> str:
        """Value of a `resourceFieldRef`, in units of its divisor, rounded up; a limit that is not set is the machine's size."""
        kind, _, name = str(selector.get("resource", "")).partition(".")
        held = (container.get("resources") or {}).get(kind) or {}
        value = held.get(name)
        if value is None and kind == "limits":
            value = {
                "cpu": os.cpu_count() or 1,
                "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            }.get(name, 0)
        from pytest_submariner.lab.kubelet.quantity import NotAQuantityError, in_units

        try:
            return str(in_units(value or 0, selector.get("divisor") or "1"))
        except NotAQuantityError as error:
            raise ConfigError(str(error)) from None

    async def config_map(self, name: str, *, optional: bool) -> dict[str, bytes] | None:
        """Keys and contents; None when it is absent and optional."""
        found = await self._get("configmap", name, optional)
        if found is None:
            return None
        held = {key: value.encode() for key, value in (found.get("data") or {}).items()}
        return held | _decoded("configmap", name, found.get("binaryData"))

    async def secret(self, name: str, *, optional: bool) -> dict[str, bytes] | None:
        """Keys and contents; None when it is absent and optional."""
        found = await self._get("secret", name, optional)
        return None if found is None else _decoded("secret", name, found.get("data"))

    async def key(self, kind: str, selector: Object) -> str | None:
        """Value of a `configMapKeyRef` or `secretKeyRef` (`kind`: configmap, secret); None when it is absent and optional."""
        name, key, optional = selector.get("name", ""), selector["key"], bool(selector.get("optional"))
        held = await (self.config_map if kind == "configmap" else self.secret)(name, optional=optional)
        if held is not None and key in held:
            return held[key].decode("utf-8", "surrogateescape")
        if held is None or optional:
            return None
        title = {"configmap": "ConfigMap", "secret": "Secret"}[kind]
        raise ConfigError(f"couldn't find key {key} in {title} {self.namespace}/{name}")

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    async def _get(self, kind: str, name: str, optional: bool) -> Object | None:
        found = await self.api.get(f"/api/v1/namespaces/{self.namespace}/{kind}s/{name}")
        if found is None and not optional:
            raise ConfigError(f'{kind} "{name}" not found')
        return found


def _decoded(kind: str, name: str, data: Object | None) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value) for key, value in (data or {}).items()}
    except binascii.Error as error:
        raise ConfigError(f"{kind} {name!r} holds data that is not base64: {error}") from error


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
