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


def control_plane_program(name: str) -> Path | None:
    """kube-apiserver or etcd, found as the lab finds it: in KUBEBUILDER_ASSETS, else in PATH."""
    named = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nonexistent")) / name
    found = str(named) if named.exists() else shutil.which(name)
    return Path(found).absolute() if found else None


def kube_apiserver() -> tuple[Path, Path]:
    """(kube-apiserver, etcd); skips without them."""
    programs = {name: control_plane_program(name) for name in ("kube-apiserver", "etcd")}
    missing = [name for name, program in programs.items() if program is None]
    if missing:
        pytest.skip(
            f"needs a genuine control plane: put {' and '.join(missing)} in PATH, or name their folder with KUBEBUILDER_ASSETS"
        )
    apiserver, etcd = programs.values()
    assert apiserver is not None
    assert etcd is not None
    return apiserver, etcd
