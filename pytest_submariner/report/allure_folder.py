"""The files beside the results in `--alluredir`: environment, categories, CI run; and a repair of what is there.

Done once, by the controller, when all workers are gone.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest_submariner
from pytest_submariner.model.topology import Role
from pytest_submariner.report.allure_causes import NoProofs, Proofs, tell_causes, tell_crashes
from pytest_submariner.report.allure_run import attach_run
from pytest_submariner.report.json import write_atomically
from pytest_submariner.report.overview.causes import UNEXPLAINED
from pytest_submariner.report.recorder import Recorder

CATEGORIES = Path(__file__).with_name("categories.json")
_ESCAPED = str.maketrans({c: f"\\{c}" for c in ":=#!\\ "})


def finish(
    folder: Path,
    recorder: Recorder,
    environ: Mapping[str, str] = os.environ,
    *,
    proofs: Proofs | None = None,
    crashed: Iterable[tuple[str, str]] = (),
) -> None:
    """Write environment.properties, categories.json and, under a known CI, executor.json; tell causes, in results and for the run;
    write results for items whose worker `crashed` (nodeid, message); drop phantom fixtures."""
    write_atomically(folder / "environment.properties", properties(environment(recorder)))
    write_atomically(folder / "categories.json", json.dumps(categories(recorder), indent=1, ensure_ascii=False) + "\n")
    if run := executor(environ):
        write_atomically(folder / "executor.json", json.dumps(run))
    tell_crashes(folder, crashed)
    tell_causes(folder, recorder, proofs or NoProofs())
    attach_run(folder, recorder)
    drop_phantoms(folder)
    tidy_descriptions(folder)


def categories(recorder: Recorder) -> list[dict[str, object]]:
    """For viewers that know messages only (Allure 2 and Classic): a category per cause of this run, then those by verdict. Allure 3
    groups by the label `root_cause` (`allurerc.mjs`)."""
    codes = dict.fromkeys(code for r in recorder.failures() for code in _codes(recorder, r.id, r.root_cause))
    by_cause: list[dict[str, object]] = [
        {
            "name": "Lost on the way, no known cause" if code == UNEXPLAINED else f"Cause: {code}",
            "matchedStatuses": ["failed", "broken"],
            "messageRegex": rf"[\s\S]*\[[A-Z0-9_, ]*\b{code}\b[\s\S]*",
        }
        for code in codes
        if re.fullmatch(r"[A-Z0-9_]+", code)
    ]
    return [*by_cause, *json.loads(CATEGORIES.read_text(encoding="utf-8"))]


def _codes(recorder: Recorder, path_id: str, root_cause: str | None) -> list[str]:
    return [finding.code for finding in recorder.causes(path_id)] or ([root_cause] if root_cause else [])


def environment(recorder: Recorder) -> dict[str, str]:
    """What Allure shows about the surroundings: names of nodes, versions, drivers; never API addresses or secrets."""
    values = {"pytest-submariner": pytest_submariner.__version__, "provider": recorder.provider}
    for cluster in recorder.topology.clusters if recorder.topology else ():
        roles = [(role, cluster.nodes_with(role)) for role in Role]
        gateways = ", ".join(node.name for node in cluster.nodes_with(Role.GATEWAY))
        cable = [cluster.submariner_version, cluster.cable_driver, "Globalnet" if cluster.globalnet else ""]
        kubernetes = [cluster.kubernetes_version, cluster.network_plugin]
        values |= {
            f"{cluster.position}": f"{cluster.cluster_id}, active gateway {gateways}"
            if gateways
            else cluster.cluster_id,
            f"{cluster.position} nodes": ", ".join(f"{len(nodes)} {role.value}" for role, nodes in roles if nodes),
            f"{cluster.position} Submariner": ", ".join(fact for fact in cable if fact),
            f"{cluster.position} Kubernetes": ", ".join(fact for fact in kubernetes if fact),
        }
    return {name: value for name, value in values.items() if value}


def properties(values: Mapping[str, str]) -> str:
    """A Java properties file; separators in keys, and line ends and backslashes in values, are escaped."""
    lines = []
    for name, value in values.items():
        text = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "")
        lines.append(f"{name.translate(_ESCAPED)}={text}\n")
    return "".join(lines)


def executor(environ: Mapping[str, str]) -> dict[str, object]:
    """Who ran it, from the variables of GitHub Actions, GitLab CI or Jenkins; empty elsewhere."""
    if environ.get("GITHUB_ACTIONS") == "true":
        server, repository, run = (environ.get(f"GITHUB_{k}", "") for k in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
        number = environ.get("GITHUB_RUN_NUMBER", "0")
        return {
            "name": "GitHub Actions",
            "type": "github",
            "buildName": f"{environ.get('GITHUB_WORKFLOW', 'run')} #{number}",
            "buildOrder": int(number) if number.isdigit() else 0,
            "buildUrl": f"{server}/{repository}/actions/runs/{run}",
        }
    if environ.get("GITLAB_CI"):
        return {
            "name": "GitLab CI",
            "type": "gitlab",
            "buildName": f"{environ.get('CI_JOB_NAME', 'job')} #{environ.get('CI_JOB_ID', '')}",
            "buildUrl": environ.get("CI_JOB_URL", ""),
        }
    if environ.get("JENKINS_URL"):
        return {
            "name": "Jenkins",
            "type": "jenkins",
            "buildName": environ.get("BUILD_TAG", "build"),
            "buildUrl": environ.get("BUILD_URL", ""),
        }
    return {}


def drop_phantoms(folder: Path) -> int:
    """Remove the tear-downs `<fixture>::<lambda>` without status, and containers left empty; returns how many.
    allure-pytest up to 2.16 records one for every fixture since pytest 9.1 (allure-python #918)."""
    removed = 0
    for file in sorted(folder.glob("*-container.json")):
        try:
            container = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        afters = container.get("afters", [])
        kept = [after for after in afters if after.get("status") or not after.get("name", "").endswith("::<lambda>")]
        if len(kept) == len(afters):
            continue
        removed += len(afters) - len(kept)
        container["afters"] = kept
        if kept or container.get("befores"):
            write_atomically(file, json.dumps(container, ensure_ascii=False))
        else:
            file.unlink(missing_ok=True)
    return removed


def tidy_descriptions(folder: Path) -> int:
    """Take the indentation out of descriptions, which allure-pytest copies from docstrings as they stand in the source:
    read as Markdown, every paragraph but the first would be a block of code. Returns how many were rewritten."""
    rewritten = 0
    for file in sorted(folder.glob("*-result.json")):
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        described = result.get("description") or ""
        if "\n" in described and (tidy := inspect.cleandoc(described)) != described:
            result["description"] = tidy
            write_atomically(file, json.dumps(result, ensure_ascii=False))
            rewritten += 1
    return rewritten
