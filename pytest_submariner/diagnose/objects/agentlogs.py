"""What the agents of Submariner and of the CNI logged: lines known to mean trouble, few, without secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from pytest_submariner.diagnose.objects.clusterobjects import Object
from pytest_submariner.diagnose.objects.redaction import redact
from pytest_submariner.errors import SubmarinerError

TAIL: Final = 200
"""Lines read per container."""
MOST_LINES: Final = 20
"""Lines kept per container: the last ones."""
MOST_CONTAINERS: Final = 16
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
"""Which zerolog writes around levels and keys."""
_LONGEST_LINE: Final = 400

_AGENTS: Final = (
    "submariner-gateway",
    "submariner-globalnet",
    "submariner-lighthouse-agent",
    "submariner-lighthouse-coredns",
)
"""Read wherever they run: there are few of them."""
_ON_NODES: Final = (
    "submariner-routeagent",
    "calico-node",
    "canal",
    "cilium",
    "kindnet",
    "kube-flannel",
    "flannel",
    "ovnkube-node",
    "weave-net",
)
"""Read on the nodes asked for."""


@dataclass(frozen=True)
class Known:
    """A line that means trouble. `source` is where it is written."""

    pattern: re.Pattern[str]
    source: str


def _known(*rows: tuple[str, str]) -> tuple[Known, ...]:
    return tuple(Known(re.compile(pattern, re.IGNORECASE), source) for pattern, source in rows)


KNOWN: Final = _known(
    (r"^[EF]\d{4} ", "klog: errors and fatal ones"),
    (r"\b(ERR|FTL|ERROR|FATAL|PANIC)\b|\"?level\"?[=:]\s*\"?(error|fatal|panic)", "zerolog, logrus, zap: their levels"),
    (r"public ip|could not determine.*ip|resolv(e|ing).*public", "submariner:pkg/endpoint/public_ip.go"),
    (r"overlap", "submariner:pkg/controllers/datastoresyncer, pkg/routeagent_driver/handlers/kubeproxy"),
    (r"unauthorized|forbidden|x509:|certificate (has expired|signed by unknown)", "client-go"),
    (r"failed to successfully ping", "submariner:pkg/pinger/pinger.go"),
    (
        r"unable to find (the )?cni interface|no cni interface|cni interface .* not (found|discovered)",
        "submariner:pkg/cni/cni_iface.go",
    ),
    (r"AUTHENTICATION_FAILED|NO_PROPOSAL_CHOSEN|TS_UNACCEPTABLE|INVALID_ID_INFORMATION", "libreswan"),
    (r"nat ?discovery.*(timed? ?out|no response)", "submariner:pkg/natdiscovery"),
    (r"leader election lost|failed to renew lease|stopped leading", "client-go leaderelection"),
    (
        r"unsupported.*gateway\.submariner\.io|error (parsing|reading) .*annotation",
        "submariner:pkg/endpoint/local_endpoint.go",
    ),
    (r"no route to host|network is unreachable|connection refused|i/o timeout", "the kernel, by Go's net package"),
    (
        r"IPPoolAllocationFailed|ProgramIPTableRulesFailed|no .*ips? .*available|insufficient ips",
        "submariner:pkg/globalnet",
    ),
)


class LogReader(Protocol):
    """The part of `kube.client.KubeClient` needed here."""

    def logs(self, namespace: str, pod: str, container: str | None = None, *, tail: int = 200) -> str: ...


@dataclass(frozen=True)
class Logs:
    """By `pod/container`: the last lines known to mean trouble, none where there were none; and the last lines as they are."""

    trouble: Mapping[str, tuple[str, ...]]
    tails: Mapping[str, tuple[str, ...]]


def read_logs(kube: LogReader, pool: ThreadPoolExecutor, pods: Iterable[Object], nodes: Collection[str]) -> Logs:
    """Logs that cannot be read are left out: that they are silent proves nothing anyway."""
    running = {name: pool.submit(_text, kube, *name) for name in _containers(pods, nodes)}
    texts = {f"{pod}/{container}": future.result() for (_, pod, container), future in running.items()}
    known = {name: trouble(text) for name, text in texts.items()}
    return Logs({name: lines for name, lines in known.items() if lines}, {n: tail(t) for n, t in texts.items() if t})


def tail(text: str) -> tuple[str, ...]:
    """The last lines of a log, redacted; long ones are cut. At most about 80 kB."""
    return tuple(line[:_LONGEST_LINE] for line in redact(text).splitlines()[-TAIL:])


def trouble(text: str) -> tuple[str, ...]:
    """The last lines of a log that are known to mean trouble, redacted; a line that repeats but for numbers is told once."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if any(known.pattern.search(line) for known in KNOWN):
            key = re.sub(r"\d+", "0", line)
            found.pop(key, None)
            found[key] = _shortened(redact(line.strip()))
    return tuple(found.values())[-MOST_LINES:]


def _shortened(line: str) -> str:
    """Agents print whole objects before the error that matters, which is at the end."""
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} … {line[-half:]}"


def _containers(pods: Iterable[Object], nodes: Collection[str]) -> Sequence[tuple[str, str, str]]:
    """(namespace, pod, container), the agents first."""
    ranked = sorted(
        ((rank, pod) for pod in pods if (rank := _rank(pod, nodes)) is not None), key=lambda found: found[0]
    )
    return [place for _, pod in ranked for place in _of(pod)][:MOST_CONTAINERS]


def _rank(pod: Object, nodes: Collection[str]) -> int | None:
    name = str(pod["metadata"]["name"])
    for rank, start in enumerate((*_AGENTS, *_ON_NODES)):
        if name.startswith(start) and (start in _AGENTS or (pod.get("spec") or {}).get("nodeName") in nodes):
            return rank
    return None


def _of(pod: Object) -> Iterator[tuple[str, str, str]]:
    metadata = pod["metadata"]
    for container in (pod.get("spec") or {}).get("containers") or ():
        yield str(metadata.get("namespace", "")), str(metadata["name"]), str(container["name"])


def _text(kube: LogReader, namespace: str, pod: str, container: str) -> str:
    try:
        return _COLOURS.sub("", kube.logs(namespace, pod, container, tail=TAIL))
    except SubmarinerError:
        return ""
