"""The files a kubelet puts into a pod's /etc."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]


def etc(pod: Object, *, ip: str, hostname: str, dns: Sequence[str], domain: str = "cluster.local") -> dict[str, bytes]:
    """/etc/hostname, /etc/hosts and /etc/resolv.conf, by path, as far as the machine has them to be covered: /etc is read-only."""
    files = {
        "/etc/hostname": f"{hostname}\n".encode(),
        "/etc/hosts": _hosts(pod, ip, hostname).encode(),
        "/etc/resolv.conf": _resolv_conf(pod, dns, domain).encode(),
    }
    return {path: content for path, content in files.items() if os.path.lexists(path)}


def _hosts(pod: Object, ip: str, hostname: str) -> str:
    lines = ["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", f"{ip}\t{hostname}"]
    lines += [
        "\t".join((alias["ip"], *(alias.get("hostnames") or ()))) for alias in pod["spec"].get("hostAliases") or ()
    ]
    return "\n".join(lines) + "\n"


def _resolv_conf(pod: Object, dns: Sequence[str], domain: str) -> str:
    """By dnsPolicy. Without a name server the resolver asks loopback and is refused at once: a dead one would cost seconds."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    servers: list[str] = []
    search: list[str] = []
    options: dict[str, str] = {}
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet"):
        namespace = pod["metadata"]["namespace"]
        servers, search, options = list(dns), [f"{namespace}.svc.{domain}", f"svc.{domain}", domain], {"ndots": "5"}
    config = spec.get("dnsConfig") or {}
    servers += config.get("nameservers") or ()
    search += config.get("searches") or ()
    options |= {option["name"]: option.get("value") or "" for option in config.get("options") or ()}
    lines = [f"nameserver {server}" for server in servers]
    lines += [f"search {' '.join(search)}"] if search else []
    lines += (
        ["options " + " ".join(f"{name}:{value}" if value else name for name, value in options.items())]
        if options
        else []
    )
    return "".join(f"{line}\n" for line in lines)
