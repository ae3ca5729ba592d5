"""Settings as a run without any option has them, for tests of what reads settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_submariner.settings import Settings

_DEFAULTS = Settings(
    provider="lab",
    lab=None,
    kubeconfig=(),
    context=(),
    exec="auto",
    ssh_config=None,
    image="python",
    clusters=None,
    mesh=False,
    sample=None,
    nodes=None,
    pods_per_node=3,
    rate=None,
    diagnose="auto",
    subctl=None,
    subctl_junit=None,
    results=Path("results.json"),
    overview=None,
    sysdump=None,
    markdown=None,
    timeout=5,
    performance=False,
    performance_time=1.0,
    min_throughput=None,
    max_latency=None,
    disruptive=False,
    keep=False,
    plan=False,
    cleanup=False,
)


def settings(**changes: Any) -> Settings:
    return replace(_DEFAULTS, **changes)
