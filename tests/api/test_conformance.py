"""The table in conformance.yaml, case by case, on every server there is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_servers import Server

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load((Path(__file__).parent / "conformance.yaml").read_text())
CRDS: list[tuple[str, dict[str, Any]]] = [("Plain", {}), ("Split", {"subresources": {"status": {}}})]


class Case:
    """Sends one case's steps and keeps what they save."""

    def __init__(self, server: Server, namespace: str) -> None:
        self.server = server
        self.saved = {"ns": namespace}

    def run(self, step: dict[str, Any]) -> None:
        step = self.filled(step)
        method, path = step["do"].split(" ", 1)
        code, body = self.server.ask(method, path, step.get("body"), media_type=step.get("type", "application/json"))
        shown = f"{step['do']}\n{json.dumps(body, indent=1)[:3000]}"
        assert code == step.get("code", 200), shown
        problems = list(differences(step.get("has", {}), body, ""))
        assert not problems, "\n".join(problems) + "\n" + shown
        for name, where in step.get("save", {}).items():
            value = body
            for part in where.split("."):
                value = value[int(part) if part.isdigit() else part]
            self.saved[name] = str(value)

    def filled(self, value: Any) -> Any:
        """With $names replaced, longest first."""
        if isinstance(value, dict):
            return {self.filled(k): self.filled(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.filled(v) for v in value]
        if isinstance(value, str):
            for name in sorted(self.saved, key=len, reverse=True):
                value = value.replace(f"${name}", self.saved[name])
        return value


def differences(wanted: Any, got: Any, path: str) -> Iterator[str]:
    """One line per difference; the rules are at the top of the table."""
    if isinstance(wanted, dict):
        if not isinstance(got, dict):
            yield f"{path}: {got!r} is not an object"
            return
        for key, inner in wanted.items():
            if inner is None:
                if key in got:
                    yield f"{path}.{key}: should be absent, is {got[key]!r}"
            elif key not in got:
                yield f"{path}.{key}: is missing"
            else:
                yield from differences(inner, got[key], f"{path}.{key}")
    elif isinstance(wanted, list):
        if not isinstance(got, list) or len(got) != len(wanted):
            yield f"{path}: {got!r} does not have {len(wanted)} elements"
            return
        for i, (inner, have) in enumerate(zip(wanted, got, strict=True)):
            yield from differences(inner, have, f"{path}[{i}]")
    elif isinstance(wanted, str) and wanted.startswith("~"):
        if not re.search(wanted[1:], str(got)):
            yield f"{path}: {got!r} does not match {wanted[1:]!r}"
    elif wanted != got:
        yield f"{path}: {got!r} instead of {wanted!r}"


def crd(kind: str, version: dict[str, Any]) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.conformance.example"},
        "spec": {
            "group": "conformance.example",
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema, **version}],
        },
    }


@pytest.fixture(scope="session")
def with_crds(server: Server) -> Server:
    for kind, version in CRDS:
        code, body = server.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd(kind, version))
        assert code == 201, body
        end = time.monotonic() + 10
        while server.ask("GET", f"/apis/conformance.example/v1/{kind.lower()}s")[0] != 200:
            assert time.monotonic() < end, f"{kind} is not served"
            time.sleep(0.05)
    return server


@pytest.mark.parametrize("case", CASES)
def test_answers_as_a_kube_apiserver(with_crds: Server, namespace: str, case: str) -> None:
    run = Case(with_crds, namespace)
    for step in CASES[case]:
        run.run(step)
