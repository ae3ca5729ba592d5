"""The genuine programs that some tests hold the lab against; a test that lacks one skips and says how to provide it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def subctl() -> Path:
    """Stock subctl: what SUBMARINER_SUBCTL names, else the one in PATH."""
    named = os.environ.get("SUBMARINER_SUBCTL") or shutil.which("subctl")
    if named is None:
        pytest.skip("needs stock subctl: name it with SUBMARINER_SUBCTL, or put it in PATH")
    return Path(named).absolute()


def agents_dir() -> Path:
    """The folder of Submariner's agents: what SUBMARINER_AGENTS_DIR names, else where submariner-gateway in PATH is."""
    if named := os.environ.get("SUBMARINER_AGENTS_DIR"):
        return Path(named).absolute()
    if program := shutil.which("submariner-gateway"):
        return Path(program).absolute().parent
    pytest.skip("needs Submariner's agents: name their folder with SUBMARINER_AGENTS_DIR, or put it in PATH")


def agents_version() -> str:
    """What the gateway binary calls itself."""
    done = subprocess.run(
        [agents_dir() / "submariner-gateway", "--version"], capture_output=True, text=True, check=True
    )
    return (done.stdout + done.stderr).partition("version:")[2].split()[0]


def kube_apiserver() -> None:
    """Skips without the programs of a genuine control plane, which the lab finds by itself."""
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nonexistent"))
    missing = [
        name for name in ("kube-apiserver", "etcd") if not (assets / name).exists() and shutil.which(name) is None
    ]
    if missing:
        pytest.skip(
            f"needs a genuine control plane: put {' and '.join(missing)} in PATH, or name their folder with KUBEBUILDER_ASSETS"
        )
