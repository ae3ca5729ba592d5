"""Settings as a run without any option has them, for tests of what reads settings."""

from __future__ import annotations

from dataclasses import replace
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
    mesh=False,
    diagnose="auto",
    subctl=None,
    subctl_junit=None,
    results=None,
    timeout=5,
    disruptive=False,
    keep=False,
    plan=False,
    cleanup=False,
)


def settings(**changes: Any) -> Settings:
    return replace(_DEFAULTS, **changes)
