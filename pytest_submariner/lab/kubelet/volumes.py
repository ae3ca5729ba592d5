"""Volumes as folders of this machine that containers see at their mount paths.

hostPath has a small and safe meaning: a folder of the lab's node, kept beside the lab's other files, empty at first, shared by the
node's pods and gone with the lab. Of the machine itself only its program folders are shown, read-only, as every pod sees them.
ConfigMaps and Secrets are written when the pod starts and do not follow later changes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_submariner.lab.kubelet.expansion import expand
from pytest_submariner.lab.kubelet.references import ConfigError, References

Object = dict[str, Any]
KINDS = ("emptyDir", "configMap", "secret", "downwardAPI", "projected", "hostPath")
_OWN_TREES = ("/proc", "/sys", "/dev")
"""A pod has its own; the node's network namespace decides what is in them."""
_PROGRAM_TREES = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/boot")


@dataclass(frozen=True)
class Mounts:
    """Target in the container -> path on this machine."""

    binds: dict[str, str]
    """Read-only."""
    shares: dict[str, str]
    """Writable."""


class Volumes:
    """The volumes of one pod."""

    def __init__(self, refs: References, folder: Path, node_folder: Path) -> None:
        """`folder`: of the pod, removed with it; `node_folder`: what hostPath volumes of the node are below."""
        self._refs = refs
        self._folder = folder
        self._node_folder = node_folder
        self._sources: dict[str, Path | None] = {}
        self._read_only: set[str] = set()

    async def prepare(self) -> None:
        """Makes what the pod's volumes are. ConfigError for kinds that are not here, and for missing ConfigMaps and Secrets."""
        for volume in self._refs.pod["spec"].get("volumes") or ():
            name = volume["name"]
            if name not in self._sources:
                self._sources[name] = await self._make(name, volume)

    def mounts(self, container: Object, env: Mapping[str, str]) -> Mounts:
        """ConfigError when a mount names no volume of the pod, or a path outside of it."""
        binds: dict[str, str] = {}
        shares: dict[str, str] = {}
        for mount in container.get("volumeMounts") or ():
            name, target = mount["name"], mount["mountPath"].rstrip("/") or "/"
            if name not in self._sources:
                raise ConfigError(f"volumeMount {target}: the pod has no volume {name!r}")
            source = self._sources[name]
            if source is None:
                self._check_own(name, target)
                continue
            sub = mount.get("subPath") or expand(mount.get("subPathExpr") or "", env)
            if sub:
                source = _below(source, sub)
            if mount.get("readOnly") or name in self._read_only:
                binds[target] = str(source)
            else:
                shares[target] = str(source)
        return Mounts(binds, shares)

    def _check_own(self, name: str, target: str) -> None:
        volume = next(v for v in self._refs.pod["spec"]["volumes"] if v["name"] == name)
        if target != volume["hostPath"]["path"].rstrip("/"):
            raise ConfigError(
                f"volume {name!r}: {volume['hostPath']['path']} of the node is there at the same path only, not at {target}"
            )

    async def _make(self, name: str, volume: Object) -> Path | None:
        """None for what every pod has anyway."""
        place = self._folder / name
        if (source := volume.get("hostPath")) is not None:
            return self._host_path(name, source)
        kind = next((key for key in volume if key != "name"), "emptyDir")
        if kind not in KINDS:
            raise ConfigError(f"volume {name!r}: the lab has no {kind} volumes; it has {', '.join(KINDS)}")
        place.mkdir(parents=True, exist_ok=True)
        if kind == "emptyDir":
            place.chmod(0o777)
            return place
        self._read_only.add(name)
        source = volume[kind]
        mode = source.get("defaultMode", 0o644)
        sources = source.get("sources") or () if kind == "projected" else ({kind: source},)
        for part in sources:
            for path, (content, own_mode) in (await self._files(name, part)).items():
                _write(_below(place, path, make=False), content, mode if own_mode is None else own_mode)
        return place

    async def _files(self, volume: str, source: Object) -> dict[str, tuple[bytes, int | None]]:
        """Path -> content and mode."""
        if (selector := source.get("configMap")) is not None:
            held = await self._refs.config_map(selector.get("name", ""), optional=bool(selector.get("optional")))
            return _chosen(held or {}, selector, volume)
        if (selector := source.get("secret")) is not None:
            name = selector.get("secretName") or selector.get("name", "")
            held = await self._refs.secret(name, optional=bool(selector.get("optional")))
            return _chosen(held or {}, selector, volume)
        if (selector := source.get("downwardAPI")) is not None:
            return {item["path"]: (self._item(item).encode(), item.get("mode")) for item in selector.get("items") or ()}
        raise ConfigError(
            f"volume {volume!r}: the lab projects configMap, secret and downwardAPI, not {', '.join(source)}"
        )

    def _item(self, item: Object) -> str:
        if reference := item.get("fieldRef"):
            return self._refs.field(reference["fieldPath"])
        selector = item.get("resourceFieldRef") or {}
        for container in self._refs.pod["spec"]["containers"]:
            if container["name"] == selector.get("containerName"):
                return self._refs.resource(container, selector)
        raise ConfigError(f"downwardAPI {item['path']}: the pod has no container {selector.get('containerName')!r}")

    def _host_path(self, name: str, source: Object) -> Path | None:
        path, kind = PurePosixPath(source["path"]), source.get("type") or ""
        if not path.is_absolute() or ".." in path.parts:
            raise ConfigError(f"volume {name!r}: hostPath {path} must be absolute, without ..")
        if _is_in(path, _OWN_TREES):
            return None
        if _is_in(path, _PROGRAM_TREES):
            if not Path(path).exists():
                raise ConfigError(f"volume {name!r}: hostPath {path} is not on this machine")
            self._read_only.add(name)
            return Path(path)
        inside = str(path.relative_to("/"))
        match kind:
            case "" | "Directory" | "DirectoryOrCreate":
                return _below(self._node_folder, inside)
            case "File" | "FileOrCreate":
                place = _below(self._node_folder, inside, make=False)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
                place.chmod(0o666)
                return place
            case _:
                raise ConfigError(f"volume {name!r}: hostPath {path} of type {kind} is not here; folders and files are")


def _is_in(path: PurePosixPath, trees: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(tree) for tree in trees)


def _chosen(held: Mapping[str, bytes], selector: Object, volume: str) -> dict[str, tuple[bytes, int | None]]:
    if not (items := selector.get("items")):
        return {key: (content, None) for key, content in held.items()}
    missing = [item["key"] for item in items if item["key"] not in held]
    if missing and not selector.get("optional"):
        raise ConfigError(f"volume {volume!r}: references non-existent config key: {', '.join(missing)}")
    return {item["path"]: (held[item["key"]], item.get("mode")) for item in items if item["key"] in held}


def _below(base: Path, path: str, *, make: bool = True) -> Path:
    """A path inside `base`; made as a folder when it is not there. ConfigError when it leads out."""
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or ".." in parts:
        raise ConfigError(f"path {path!r} inside a volume must be relative, without ..")
    place = base.joinpath(*parts)
    # Containers may have put links into a shared volume; the real path decides.
    if not place.resolve().is_relative_to(base.resolve()):
        raise ConfigError(f"path {path!r} leads out of its volume")
    if make and not place.exists():
        place.mkdir(parents=True)
        place.chmod(0o777)
    return place


def _write(place: Path, content: bytes, mode: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(content)
    place.chmod(mode)
