"""The suites as people start them: everything is listed without a cluster, and everything ships."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pytest_submariner.paths.cases import SUITES, cases

ROOT = Path(__file__).parents[2]


def collected(tmp_path: Path, *arguments: str) -> list[str]:
    """Node ids, on a machine where nothing is configured."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "KUBECONFIG"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "suites", *arguments],
        cwd=ROOT,
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.parametrize("suite", SUITES)
def test_every_path_is_one_item_of_its_suite(tmp_path: Path, suite: str) -> None:
    listed = [re.search(r"\[(.+--.+)\]$", line) for line in collected(tmp_path) if line.startswith(f"suites/{suite}/")]
    ids = Counter(match[1] for match in listed if match and not match[1].startswith("pgw."))
    assert ids == Counter(case.id for case in cases(suite, ["c1", "c2"]))


def test_counterparts_of_the_stock_specs_are_marked(tmp_path: Path) -> None:
    assert len(collected(tmp_path, "-m", "submariner_subctl")) == 12


def test_more_contexts_mean_more_pairs(tmp_path: Path) -> None:
    config = tmp_path / "config"
    contexts = [{"name": name, "context": {"cluster": "x", "user": "x"}} for name in ("a", "b", "c")]
    clusters = [{"name": "x", "cluster": {"server": "https://192.0.2.1:6443"}}]
    users = [{"name": "x", "user": {"token": "x"}}]
    known = {"clusters": clusters, "users": users, "contexts": contexts}
    config.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **known}))
    three = [f"--submariner-context={context['name']}" for context in contexts]
    listed = collected(tmp_path, f"--submariner-kubeconfig={config}", *three)
    assert sum("test_gateway_is_connected" in line for line in listed) == 6
    assert any("pod.ngw.c3--svc.gw.c1--udp" in line for line in listed)


def test_every_suite_is_a_package_and_so_ships_in_the_wheel() -> None:
    folders = {file.parent for file in (ROOT / "suites").rglob("*.py")}
    assert len(folders) > len(SUITES)
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
