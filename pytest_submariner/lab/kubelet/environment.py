"""The environment, command and user of a container, as its pod asks for them and its image presets them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_submariner.lab.kubelet.expansion import expand
from pytest_submariner.lab.kubelet.references import ConfigError, References
from pytest_submariner.lab.spawner import ProcessSpec
from pytest_submariner.lab.toolsets import NON_ROOT_UID, PYTHON_CALL, Toolset

Object = dict[str, Any]


@dataclass(frozen=True)
class User:
    """Who a container's processes are. None: the lab's own user with its capabilities, which root in a container is here."""

    uid: int | None
    gid: int | None

    @classmethod
    def of(cls, pod: Object, container: Object) -> User:
        """ConfigError when the pod demands a non-root user and names root."""
        merged = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
        uid, gid, non_root = merged.get("runAsUser"), merged.get("runAsGroup"), merged.get("runAsNonRoot")
        if uid == 0 and non_root:
            raise ConfigError(f"container's runAsUser breaks non-root policy (container: {container['name']})")
        if uid is None and non_root:
            uid = NON_ROOT_UID
        # Without a group of its own a container gets the one of its uid: group 0 could read more of this machine than it should.
        return cls(uid or None, gid if uid else None)


async def environment(
    refs: References, container: Object, toolset: Toolset, user: User, *, service_host: str
) -> dict[str, str]:
    """Later ones win: image, cluster, envFrom, env. ConfigError for a reference to what does not exist."""
    result = toolset.environment()
    result |= {
        "HOSTNAME": hostname(refs.pod, refs.node.name),
        "HOME": "/root" if user.uid is None else "/",
        "KUBERNETES_SERVICE_HOST": service_host,
        "KUBERNETES_SERVICE_PORT": "443",
        "KUBERNETES_SERVICE_PORT_HTTPS": "443",
        "KUBERNETES_PORT": f"tcp://{service_host}:443",
    }
    if container.get("tty"):
        result["TERM"] = "xterm"
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        result |= {
            prefix + key: value.decode("utf-8", "surrogateescape")
            for key, value in (await _whole(refs, source)).items()
        }
    for entry in container.get("env") or ():
        value = await _value(refs, container, entry, result)
        if value is not None:
            result[entry["name"]] = value
    return result


def service_host(service_cidr: str) -> str:
    """The `kubernetes` Service has the first address of its range."""
    return str(ipaddress.IPv4Network(service_cidr)[1])


def hostname(pod: Object, node: str) -> str:
    """What `hostname` says in the pod: at most 63 characters, as the kernel and DNS labels allow."""
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        return node
    return str(spec.get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def process(container: Object, toolset: Toolset, env: Mapping[str, str], user: User) -> ProcessSpec:
    """What to start. ConfigError when a foreign image asks for a function of this project."""
    command = [expand(word, env) for word in container.get("command") or ()]
    args = [expand(word, env) for word in container.get("args") or ()]
    argv = (*command, *args) if command or args else toolset.command
    cwd = container.get("workingDir") or "/"
    tty = bool(container.get("tty"))
    if argv[0] != PYTHON_CALL:
        return ProcessSpec(argv, env, cwd, user.uid, user.gid, tty)
    if not toolset.own or len(argv) < 2:
        raise ConfigError(
            f'command {PYTHON_CALL} needs an image of the lab (not {toolset.name}) and "package.module:function"'
        )
    return ProcessSpec(argv[1:], env, cwd, user.uid, user.gid, tty, python=True)


async def _whole(refs: References, source: Object) -> dict[str, bytes]:
    if selector := source.get("configMapRef"):
        return await refs.config_map(selector["name"], optional=bool(selector.get("optional"))) or {}
    if selector := source.get("secretRef"):
        return await refs.secret(selector["name"], optional=bool(selector.get("optional"))) or {}
    return {}


async def _value(refs: References, container: Object, entry: Object, known: Mapping[str, str]) -> str | None:
    """None when an optional reference leads nowhere: the variable is then not set at all."""
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value") or "", known)
    if selector := source.get("fieldRef"):
        return refs.field(selector["fieldPath"])
    if selector := source.get("resourceFieldRef"):
        return refs.resource(container, selector)
    if selector := source.get("configMapKeyRef"):
        return await refs.key("configmap", selector)
    if selector := source.get("secretKeyRef"):
        return await refs.key("secret", selector)
    raise ConfigError(f"env {entry['name']}: valueFrom with {', '.join(source) or 'nothing'} is not known here")
