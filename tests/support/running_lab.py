"""Labs for tests, booted and asked by the command line as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

UNAVAILABLE = 3
"""Exit status of `submariner-lab` on a machine that cannot run a lab."""


def submariner_lab(*argv: str, timeout: float = 120, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Runs the command line as a user would; skips when this machine cannot run a lab."""
    command = [sys.executable, "-m", "pytest_submariner.lab.cli", *argv]
    done = subprocess.run(command, capture_output=True, timeout=timeout, input=stdin, check=False)
    if done.returncode == UNAVAILABLE:
        pytest.skip(done.stderr.decode().strip())
    return done


@dataclass(frozen=True)
class RunningLab:
    """A booted lab, as `up --json` describes it."""

    name: str
    kubeconfig: str
    ssh_config: str
    contexts: tuple[str, ...]
    nodes: tuple[dict[str, Any], ...]

    @classmethod
    def boot(cls, name: str, *options: str) -> RunningLab:
        done = submariner_lab("up", "--name", name, "--json", "--owner-pid", str(os.getpid()), *options)
        assert done.returncode == 0, done.stderr.decode()
        data = json.loads(done.stdout)
        return cls(name, data["kubeconfig"], data["ssh_config"], tuple(data["contexts"]), tuple(data["nodes"]))

    def run(self, target: str, *argv: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """A command in the namespaces of a node, or of CLUSTER/NAMESPACE/POD."""
        return submariner_lab("exec", "--name", self.name, target, "--", *argv, stdin=stdin)

    def down(self) -> None:
        submariner_lab("down", "--name", self.name)

    def pytest(self, arguments: Sequence[str], folder: Path) -> tuple[int, dict[str, Any], str]:
        """Runs the suites against this lab: (exit status, results.json, terminal output)."""
        results = folder / "results.json"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--submariner-lab={self.name}"]
        command += [f"--submariner-results={results}", *arguments]
        root = Path(__file__).parents[2]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "SUBMARINER_TESTS_"))}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=root, env=environment, check=False
        )
        data = json.loads(results.read_text()) if results.exists() else {}
        return done.returncode, data, done.stdout + done.stderr
