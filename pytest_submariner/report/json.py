"""results.json: the whole run in one file, for programs. Its schema is docs/results.schema.json."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pytest_submariner.model.topology import Cluster, Topology
from pytest_submariner.report.recorder import Recorder

SCHEMA_VERSION = 1


def document(recorder: Recorder) -> dict[str, Any]:
    """The contents of results.json. Paths and findings are sorted, so that two runs differ only where they differ."""
    return {
        "schema_version": SCHEMA_VERSION,
        "provider": recorder.provider,
        "started": recorder.started,
        "duration_s": round(recorder.duration_s or 0.0, 3),
        "planned": recorder.planned,
        "measured": recorder.measured,
        "clusters": _clusters(recorder.topology),
        "paths": [result.to_dict() for result in recorder.results],
        "findings": [finding.to_dict() for finding in recorder.findings],
        "performance": [figure.to_dict() for figure in recorder.figures],
        "comparison": recorder.comparison,
        "timings": {name: round(seconds, 3) for name, seconds in sorted(recorder.timings.items())},
        "notes": list(recorder.notes),
    }


def write_results(recorder: Recorder, file: Path) -> None:
    """Write results.json in place of an older one; no reader sees half of it. OSError when `file` cannot be written."""
    write_atomically(file, json.dumps(document(recorder), indent=1, ensure_ascii=False) + "\n")


def write_atomically(file: Path, text: str) -> None:
    """Make missing folders, write beside `file`, then rename."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _clusters(topology: Topology | None) -> list[dict[str, Any]]:
    return [_cluster(cluster) for cluster in topology.clusters] if topology else []


def _cluster(cluster: Cluster) -> dict[str, Any]:
    return {
        "position": cluster.position,
        "cluster_id": cluster.cluster_id,
        "context": cluster.context,
        "nodes": [{"name": n.name, "role": n.role.value, "internal_ip": n.internal_ip} for n in cluster.nodes],
        "pod_cidrs": list(cluster.pod_cidrs),
        "service_cidrs": list(cluster.service_cidrs),
        "network_plugin": cluster.network_plugin,
        "cable_driver": cluster.cable_driver,
        "submariner_version": cluster.submariner_version,
        "kubernetes_version": cluster.kubernetes_version,
        "globalnet": cluster.globalnet,
    }
