"""Every setting, in one table: option, environment variable, ini key, help and checks all come from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import pytest

DEFAULT_IMAGE = "docker.io/library/python:3.13-slim"


class Kind(StrEnum):
    """How the text of a setting is read."""

    TEXT = "text"
    INPUT_FILE = "input file"
    OUTPUT_FILE = "output file"
    PROGRAM = "program"
    """A file, or a word without a slash that is looked up in PATH."""
    SECONDS = "seconds"
    COUNT = "count"
    """A whole number from 1."""
    SELECTOR = "label selector"
    AMOUNT = "amount"
    """A number above 0."""
    FLAG = "flag"


@dataclass(frozen=True)
class Option:
    """One line of the table. `allowed` are words; any other is refused."""

    name: str
    help: str
    kind: Kind = Kind.TEXT
    metavar: str | None = None
    default: str | float | bool | None = None
    allowed: tuple[str, ...] = ()
    repeatable: bool = False
    at_least: int = 1
    at_most: float | None = None

    @property
    def flag(self) -> str:
        return f"--submariner-{self.name}"

    @property
    def field(self) -> str:
        """The attribute of `Settings`."""
        return self.name.replace("-", "_")

    @property
    def dest(self) -> str:
        """pytest-kind owns the bare words (`kubeconfig`), so ours are never bare."""
        return f"submariner_{self.field}"

    @property
    def ini(self) -> str:
        return self.dest

    @property
    def env(self) -> str:
        return f"PYTEST_SUBMARINER_{self.field.upper()}"

    @property
    def ini_type(self) -> str:
        """The type pytest checks `[tool.pytest]` values against: a list stays a list, a number a number."""
        if self.repeatable:
            return "args"
        return {Kind.FLAG: "bool", Kind.SECONDS: "float", Kind.AMOUNT: "float", Kind.COUNT: "int"}.get(
            self.kind, "string"
        )


_TABLE = (
    Option(
        "provider",
        "Where clusters come from (default: kubeconfig when a context or kubeconfig is given by these options, else lab)",
        allowed=("lab", "kubeconfig", "kind"),
        metavar="NAME",
    ),
    Option(
        "lab", "Attach to the running lab of this name (default: boot a lab for this run and remove it)", metavar="NAME"
    ),
    Option(
        "kubeconfig",
        "Kubeconfig file, once for all contexts or once per context; alone, its current context is meant "
        "(default: what KUBECONFIG says, else ~/.kube/config)",
        kind=Kind.INPUT_FILE,
        metavar="FILE",
        repeatable=True,
    ),
    Option(
        "context",
        "Kubeconfig context of a cluster; the order gives positions c1, c2, …",
        metavar="CTX",
        repeatable=True,
    ),
    Option(
        "exec",
        "How nodes are reached: auto takes the first that works and says which",
        default="auto",
        allowed=("auto", "pod", "ssh", "docker"),
        metavar="HOW",
    ),
    Option(
        "ssh-config",
        "An ssh_config whose Host names are node names (a lab brings its own)",
        kind=Kind.INPUT_FILE,
        metavar="FILE",
    ),
    Option("image", f"Image of probe pods (default: {DEFAULT_IMAGE})", default=DEFAULT_IMAGE, metavar="REF"),
    Option(
        "clusters",
        "How many clusters the lab has, 2 to 9 (default: those of the lab attached to, else 2)",
        kind=Kind.COUNT,
        at_least=2,
        at_most=9,
        metavar="N",
    ),
    Option(
        "mesh",
        "Ask every ordered pair of nodes as well, inside and between clusters, pod to pod (suite mesh)",
        kind=Kind.FLAG,
        default=False,
    ),
    Option(
        "sample",
        "In the mesh every node asks N nodes of each cluster instead of all",
        kind=Kind.COUNT,
        metavar="N",
    ),
    Option(
        "nodes",
        "Nodes that take part, by their labels (as kubectl get -l); the others get no probe pod",
        kind=Kind.SELECTOR,
        metavar="SELECTOR",
    ),
    Option(
        "pods-per-node",
        "At most N probe pods on a node: 1 pod network alone, 2 host network too, 3 (default) another for paths on one node",
        kind=Kind.COUNT,
        default=3,
        at_most=3,
        metavar="N",
    ),
    Option("rate", "Start at most N probes per second, all sources together", kind=Kind.COUNT, metavar="N"),
    Option(
        "diagnose",
        "When to look for causes: auto is after failures, always also when every path works",
        default="auto",
        allowed=("auto", "always", "never"),
        metavar="WHEN",
    ),
    Option(
        "subctl",
        "Run `subctl verify` of this binary (a path, or a name in PATH) on c1 and c2, and compare spec by spec",
        kind=Kind.PROGRAM,
        metavar="BIN",
    ),
    Option(
        "subctl-junit",
        "Compare with this report of subctl verify --junit-report",
        kind=Kind.INPUT_FILE,
        metavar="FILE",
    ),
    Option(
        "results",
        "Write every result as JSON to this file, when paths were asked (default: reports/results.json)",
        kind=Kind.OUTPUT_FILE,
        default="reports/results.json",
        metavar="FILE",
    ),
    Option(
        "overview",
        "Write the overview page to this file, when paths were asked (default: index.html beside the results; there it never "
        "replaces a page of anybody else's)",
        kind=Kind.OUTPUT_FILE,
        metavar="FILE",
    ),
    Option(
        "sysdump",
        "Keep what the diagnosis saw in this archive, whether paths failed or not (default: sysdump.tar.gz beside the results, when paths "
        "failed)",
        kind=Kind.OUTPUT_FILE,
        metavar="FILE",
    ),
    Option(
        "markdown",
        "Write the run in Markdown to this file, when paths were asked",
        kind=Kind.OUTPUT_FILE,
        metavar="FILE",
    ),
    Option(
        "timeout",
        "Seconds of silence that end an attempt on a path, of which there are three, a little apart (default: 2; where answers are slow "
        "attempts wait longer by themselves)",
        kind=Kind.SECONDS,
        default=2.0,
        metavar="S",
    ),
    Option(
        "performance",
        "Measure throughput and latency as well; loads the clusters (a test or folder that is named runs without this option)",
        kind=Kind.FLAG,
        default=False,
    ),
    Option(
        "performance-time",
        "Seconds one measurement of throughput or latency takes (default: 1)",
        kind=Kind.SECONDS,
        default=1.0,
        at_most=60.0,
        metavar="S",
    ),
    Option(
        "min-throughput",
        "Fail when less arrives between clusters, by one stream or by ten (given as an option, it asks for --submariner-performance)",
        kind=Kind.AMOUNT,
        metavar="MBIT",
    ),
    Option(
        "max-latency",
        "Fail when the 99th percentile of round trips between clusters is above this (given as an option, it asks for "
        "--submariner-performance)",
        kind=Kind.AMOUNT,
        metavar="MS",
    ),
    Option(
        "disruptive",
        "Run tests that break something and repair it (a lab booted for this run allows them by itself)",
        kind=Kind.FLAG,
        default=False,
    ),
    Option("keep", "Leave the lab and the probe pods in place at the end", kind=Kind.FLAG, default=False),
    Option(
        "plan", "Print which paths would be asked, and stop before touching anything", kind=Kind.FLAG, default=False
    ),
    Option(
        "cleanup",
        "Remove what runs left in the clusters given (without contexts: in the running labs), and stop; ends runs still under way",
        kind=Kind.FLAG,
        default=False,
    ),
)

OPTIONS: Mapping[str, Option] = MappingProxyType({option.field: option for option in _TABLE})


def register(parser: pytest.Parser) -> None:
    """Declare the option and the ini key of every line. Values stay text here: `settings` reads them, with their source."""
    group = parser.getgroup(
        "submariner",
        "submariner (each is also an ini key submariner_* and a variable PYTEST_SUBMARINER_*; option > environment > ini)",
    )
    for option in OPTIONS.values():
        text = option.help
        ini_help = f"{text}; {', '.join(option.allowed)}" if option.allowed else text
        if option.kind is Kind.FLAG:
            group.addoption(option.flag, dest=option.dest, action="store_true", default=None, help=text)
        else:
            action = "append" if option.repeatable else "store"
            group.addoption(
                option.flag, dest=option.dest, action=action, metavar=option.metavar, default=None, help=ini_help
            )
        parser.addini(option.ini, ini_help, type=option.ini_type, default=None)  # type: ignore[arg-type]
