"""The marks: how they read in `pytest --markers`, what arguments they take, what they need of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import pytest

from pytest_submariner.errors import RequirementUnmet
from pytest_submariner.model.topology import Cluster, Role, Topology

SUBCTL = "submariner_subctl"
DISRUPTIVE = "submariner_disruptive"
REQUIRES = "submariner_requires"
KNOWN_ISSUE = "submariner_known_issue"
PERFORMANCE = "submariner_performance"


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """Arguments of `submariner_requires`. Counts are per cluster, but for `clusters`; None asks for nothing."""

    clusters: int | None = None
    gateways: int | None = None
    non_gateways: int | None = None
    globalnet: bool | None = None
    cable_driver: str | None = None
    network_plugin: str | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        for name in ("clusters", "gateways", "non_gateways"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise TypeError(f"{name}={value!r} is not a number from 1")
        if self.globalnet is not None and not isinstance(self.globalnet, bool):
            raise TypeError(f"globalnet={self.globalnet!r} is neither True nor False")
        for name in ("cable_driver", "network_plugin", "provider"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name}={value!r} is not a word")
        if all(getattr(self, f.name) is None for f in fields(self)):
            raise TypeError(f"asks for nothing; give at least one of {', '.join(f.name for f in fields(self))}")

    @property
    def needs_topology(self) -> bool:
        """Whether the clusters have to be asked: not when the provider alone is required."""
        return any(getattr(self, f.name) is not None for f in fields(self) if f.name != "provider")

    def check(self, topology: Topology) -> None:
        """RequirementUnmet names the condition and what was measured instead."""
        if self.clusters is not None and len(topology.clusters) < self.clusters:
            raise RequirementUnmet(f"needs clusters >= {self.clusters}; this run has {len(topology.clusters)}")
        for cluster in topology.clusters:
            self._check_cluster(cluster)

    def check_provider(self, provider: str) -> None:
        if self.provider is not None and provider != self.provider:
            raise RequirementUnmet(f"needs provider {self.provider}; this run has {provider}")

    def _check_cluster(self, cluster: Cluster) -> None:
        gateways = len(cluster.nodes_with(Role.GATEWAY)) + len(cluster.nodes_with(Role.PASSIVE))
        for name, wanted, found in (
            ("gateways", self.gateways, gateways),
            ("non_gateways", self.non_gateways, len(cluster.nodes_with(Role.NON_GATEWAY))),
        ):
            if wanted is not None and found < wanted:
                raise RequirementUnmet(f"needs {name} >= {wanted}; {cluster.position} has {found}")
        for name in ("globalnet", "cable_driver", "network_plugin"):
            wanted, found = getattr(self, name), getattr(cluster, name)
            if wanted is not None and found != wanted:
                raise RequirementUnmet(
                    f"needs {name} {wanted}; {cluster.position} has {found if found != '' else 'an unknown one'}"
                )


@dataclass(frozen=True)
class KnownIssue:
    """Arguments of `submariner_known_issue`."""

    url: str
    reason: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.url, str) or not self.url.startswith(("https://", "http://")):
            raise TypeError(f"{self.url!r} is not the URL of an issue")
        if not isinstance(self.reason, str):
            raise TypeError(f"reason={self.reason!r} is not text")

    def __str__(self) -> str:
        return f"known issue {self.url}" + (f": {self.reason}" if self.reason else "")


def _subctl(spec: str) -> str:
    if not isinstance(spec, str) or not spec.strip():
        raise TypeError(f"{spec!r} is not the title of a spec")
    return spec


def _disruptive() -> bool:
    return True


def _performance() -> bool:
    return True


@dataclass(frozen=True)
class Mark:
    """A mark: its signature and a sentence for `pytest --markers`, and what checks its arguments (TypeError says what is wrong)."""

    name: str
    signature: str
    prose: str
    parse: Callable[..., Any]


MARKS = (
    Mark(
        SUBCTL,
        "(spec)",
        "counterpart of the spec of this title in stock subctl verify; results of both are compared when a report of subctl is given",
        _subctl,
    ),
    Mark(
        DISRUPTIVE,
        "",
        "breaks something and repairs it: runs last, alone, and only with --submariner-disruptive or in a lab booted for the run",
        _disruptive,
    ),
    Mark(
        PERFORMANCE,
        "",
        "loads the clusters to measure them: runs after the others, alone, and only with --submariner-performance or when it is named (its "
        "file, a folder `performance`, or a word of -k or -m that is about it)",
        _performance,
    ),
    Mark(
        REQUIRES,
        "(*, clusters=None, gateways=None, non_gateways=None, globalnet=None, cable_driver=None, network_plugin=None, provider=None)",
        "skip unless the clusters have this, saying what they have instead; gateways and non_gateways are nodes wanted in each cluster",
        Requirements,
    ),
    Mark(
        KNOWN_ISSUE,
        "(url, reason='')",
        "the path fails for a published reason: reported as known-issue (strict xfail); passing again fails, so that the mark is removed",
        KnownIssue,
    ),
)


NAMES = frozenset(mark.name for mark in MARKS)


def register(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark.name}{mark.signature}: {mark.prose}")


def validate(items: Iterable[pytest.Item]) -> None:
    """Parse every mark of every item once. `pytest.UsageError` (exit 4) lists all wrong ones, a line each."""
    wrong: dict[str, None] = {}
    for item in items:
        for mark in MARKS:
            for used in item.iter_markers(mark.name):
                try:
                    mark.parse(*used.args, **used.kwargs)
                except TypeError as error:
                    wrong[f"{item.nodeid}: {mark.name}{mark.signature}: {_plain(error)}"] = None
    if wrong:
        raise pytest.UsageError(*wrong)


def requirements(item: pytest.Item) -> list[Requirements]:
    return [Requirements(**mark.kwargs) for mark in item.iter_markers(REQUIRES)]


def known_issue(item: pytest.Item) -> KnownIssue | None:
    """The nearest one."""
    mark = item.get_closest_marker(KNOWN_ISSUE)
    return KnownIssue(*mark.args, **mark.kwargs) if mark else None


def subctl_spec(item: pytest.Item) -> str | None:
    mark = item.get_closest_marker(SUBCTL)
    return str(mark.args[0] if mark.args else mark.kwargs["spec"]) if mark else None


def is_disruptive(item: pytest.Item) -> bool:
    return item.get_closest_marker(DISRUPTIVE) is not None


def is_performance(item: pytest.Item) -> bool:
    return item.get_closest_marker(PERFORMANCE) is not None


def runs_alone(item: pytest.Item) -> bool:
    """Under pytest-xdist nothing else that uses the clusters may run beside it."""
    return is_disruptive(item) or is_performance(item)


def expect_known_issues(items: Iterable[pytest.Item]) -> None:
    """A known issue is pytest's strict xfail, for findings only: an error (we could not tell) stays an error."""
    for item in items:
        try:
            issue = known_issue(item)
        except TypeError:
            continue  # `validate` tells
        if issue is not None:
            item.add_marker(pytest.mark.xfail(reason=str(issue), raises=AssertionError, strict=True))


def _plain(error: TypeError) -> str:
    """Python's own words about a call, without the name of our inner function."""
    text = str(error)
    for name in (
        "_subctl() ",
        "_disruptive() ",
        "_performance() ",
        "KnownIssue.__init__() ",
        "Requirements.__init__() ",
    ):
        text = text.replace(name, "")
    return text
