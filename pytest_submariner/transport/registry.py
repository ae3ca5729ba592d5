"""Transports by name, imported when chosen; and how `auto` chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_submariner.errors import NodeUnreachable, SubmarinerError
from pytest_submariner.transport.base import Transport

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient
    from pytest_submariner.model.topology import Node


@dataclass(frozen=True)
class Ways:
    """What there is to reach a node by; a transport says NodeUnreachable when what it needs is missing."""

    node: str
    kube: KubeClient | None = None
    ssh_config: str | None = None
    image: str = ""


def _route_agent(ways: Ways) -> Transport:
    from pytest_submariner.transport.pod import RouteAgentTransport

    if ways.kube is None:
        raise NodeUnreachable("no API server to ask")
    return RouteAgentTransport(ways.node, ways.kube)


def _helper_pod(ways: Ways) -> Transport:
    from pytest_submariner.transport.pod import HelperPodTransport

    if ways.kube is None:
        raise NodeUnreachable("no API server to ask")
    if not ways.image:
        raise NodeUnreachable("no image for a pod on the node: give one with --submariner-image")
    return HelperPodTransport(ways.node, ways.kube, ways.image)


def _ssh(ways: Ways) -> Transport:
    from pytest_submariner.transport.ssh import SshTransport

    if not ways.ssh_config:
        raise NodeUnreachable("no ssh_config: give one whose Host names are node names with --submariner-ssh-config")
    return SshTransport(ways.node, ways.ssh_config)


def _docker(ways: Ways) -> Transport:
    from pytest_submariner.transport.docker import DockerTransport

    return DockerTransport(ways.node)


TRANSPORTS: dict[str, tuple[tuple[str, Callable[[Ways], Transport]], ...]] = {
    "pod": (("route-agent", _route_agent), ("helper pod", _helper_pod)),
    "ssh": (("ssh", _ssh),),
    "docker": (("docker", _docker),),
}
"""The ways behind each word of `--submariner-exec`, in the order they are tried; `auto` tries all of them."""


def open_transport(
    kind: str, node: Node | str, *, kube: KubeClient | None = None, ssh_config: str | None = None, image: str = ""
) -> Transport:
    """The first way of `kind` (auto, pod, ssh, docker) that leads to the node. `Transport.about` says which it is.

    ValueError for another kind; NodeUnreachable with the reason of every way that did not fit.
    """
    if kind != "auto" and kind not in TRANSPORTS:
        raise ValueError(f"transport {kind!r}: allowed are auto, {', '.join(TRANSPORTS)}")
    name = node if isinstance(node, str) else node.name
    ways = Ways(name, kube, ssh_config, image)
    reasons = []
    for word, found in TRANSPORTS.items():
        if kind not in {"auto", word}:
            continue
        for label, make in found:
            try:
                return make(ways)
            except SubmarinerError as error:
                reasons.append(f"{label}: {error}")
    raise NodeUnreachable(f"no way to node {name}: {' | '.join(reasons)}")
