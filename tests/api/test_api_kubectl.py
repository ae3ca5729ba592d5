"""kubectl, unmodified, against the embedded server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from api_servers import Server

Kubectl = Callable[..., str]

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")

POD = """
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: x}}
spec:
  nodeName: n1
  containers: [{name: c, image: "i:1"}]
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  replicas: 1
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec: {containers: [{name: one, image: "i:1", env: [{name: A, value: "1"}]}, {name: two, image: "i:1"}]}
"""


@pytest.fixture(scope="module")
def environment(embedded: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("kubectl")
    return {**os.environ, "HOME": str(home), "KUBECONFIG": str(embedded.kubeconfig(home))}


@pytest.fixture
def kubectl(embedded: Server, environment: dict[str, str]) -> Kubectl:
    """Runs kubectl in a namespace of the test's own; its output, or what `fails` says it printed when it failed."""
    namespace = f"kubectl-{uuid4().hex[:8]}"
    assert embedded.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})[0] == 201

    def run(*argv: str, stdin: str = "", fails: bool = False) -> str:
        done = subprocess.run(
            ["kubectl", "-n", namespace, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            env=environment,
            check=False,
        )
        assert (done.returncode != 0) is fails, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout

    return run


def test_version_and_resources(kubectl: Kubectl) -> None:
    shown = json.loads(kubectl("version", "-o", "json"))
    assert shown["serverVersion"]["major"] == "1"
    assert "+submariner-lab" in shown["serverVersion"]["gitVersion"]
    resources = kubectl("api-resources", "--no-headers")
    for line in ("configmaps cm v1 true ConfigMap", "gateways submariner.io/v1 true Gateway"):
        assert line in [" ".join(found.split()) for found in resources.splitlines()]


def test_create_get_describe_delete(kubectl: Kubectl) -> None:
    """`create` sends protobuf, `get` wants a Table, `describe` would rather have protobuf."""
    assert kubectl("create", "configmap", "a", "--from-literal=x=1") == "configmap/a created\n"
    assert kubectl("get", "cm").splitlines()[0].split() == ["NAME", "DATA", "AGE"]
    assert kubectl("get", "cm", "a", "--no-headers").split()[:2] == ["a", "1"]
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.x}") == "1"
    assert "x:\n----\n1\n" in kubectl("describe", "cm", "a")
    assert kubectl("create", "secret", "generic", "s", "--from-literal=k=v") == "secret/s created\n"
    assert kubectl("get", "secret", "s", "-o", "jsonpath={.data.k}") == "dg=="
    assert "already exists" in kubectl("create", "configmap", "a", fails=True)
    assert kubectl("delete", "cm", "a").startswith('configmap "a" deleted')
    assert '"a" not found' in kubectl("get", "cm", "a", fails=True)
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"


def test_client_side_apply(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/d created\n"
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/d unchanged\n"
    changed = DEPLOYMENT.replace('{name: two, image: "i:1"}', '{name: three, image: "i:2"}').replace(
        "A, value", "B, value"
    )
    assert kubectl("apply", "-f", "-", stdin=changed) == "deployment.apps/d configured\n"
    containers = json.loads(kubectl("get", "deploy", "d", "-o", "jsonpath={.spec.template.spec.containers}"))
    assert [c["name"] for c in containers] == ["one", "three"]
    assert containers[0]["env"] == [{"name": "B", "value": "1"}]
    assert kubectl("scale", "deploy", "d", "--replicas=4") == "deployment.apps/d scaled\n"
    assert kubectl("get", "deploy", "d", "--no-headers").split()[1] == "0/4"
    typo = DEPLOYMENT.replace("replicas: 1", "replcas: 1")
    assert 'unknown field "spec.replcas"' in kubectl("apply", "-f", "-", stdin=typo, fails=True)


def test_server_side_apply(kubectl: Kubectl) -> None:
    done = "deployment.apps/d serverside-applied\n"
    assert kubectl("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT) == done
    changed = DEPLOYMENT.replace(', {name: two, image: "i:1"}', "")
    assert kubectl("apply", "--server-side", "-f", "-", stdin=changed) == done
    assert kubectl("get", "deploy", "d", "-o", "jsonpath={.spec.template.spec.containers[*].name}") == "one"
    other = changed.replace("i:1", "i:9")
    refusal = kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=other, fails=True)
    assert 'conflict with "kubectl": .spec.template.spec.containers[name="one"].image' in refusal
    assert (
        kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-", stdin=other) == done
    )


def test_apply_of_custom_kinds_in_a_list(kubectl: Kubectl) -> None:
    gateway = {
        "apiVersion": "submariner.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "g"},
        "status": {"haStatus": "active"},
    }
    imported = {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceImport",
        "metadata": {"name": "i"},
        "spec": {"type": "ClusterSetIP", "ips": ["1.2.3.4"]},
    }
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [gateway, imported]})
    assert kubectl("apply", "-f", "-", stdin=listed).count("created") == 2
    assert kubectl("get", "gateways.submariner.io").split() == ["NAME", "HA", "STATUS", "g", "active"]
    assert kubectl("get", "svcim", "--no-headers").split()[:3] == ["i", "ClusterSetIP", '["1.2.3.4"]']
    gateway["status"] = {"haStatus": "passive"}
    assert "configured" in kubectl("apply", "-f", "-", stdin=json.dumps(gateway))
    assert kubectl("get", "gateways.submariner.io", "g", "-o", "jsonpath={.status.haStatus}") == "passive"


def test_label_annotate_patch(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "a")
    kubectl("label", "cm", "a", "k=v")
    assert kubectl("get", "cm", "-l", "k in (v,w)", "-o", "name") == "configmap/a\n"
    kubectl("annotate", "cm", "a", "x=y")
    kubectl("label", "cm", "a", "k-")
    assert kubectl("get", "cm", "-l", "k", "-o", "name") == ""
    kubectl("patch", "cm", "a", "-p", '{"data":{"s":"1"}}')
    kubectl("patch", "cm", "a", "--type=merge", "-p", '{"data":{"m":"1"}}')
    kubectl("patch", "cm", "a", "--type=json", "-p", '[{"op":"add","path":"/data/j","value":"1"}]')
    assert json.loads(kubectl("get", "cm", "a", "-o", "jsonpath={.data}")) == {"s": "1", "m": "1", "j": "1"}


def test_pods_wait_and_delete(kubectl: Kubectl, embedded: Server) -> None:
    kubectl("apply", "-f", "-", stdin=POD)
    row = kubectl("get", "pods", "-o", "wide", "--no-headers").split()
    assert row[:4] == ["p", "0/1", "Pending", "0"]
    assert row[6] == "n1"
    assert "QoS Class:        BestEffort" in kubectl("describe", "pod", "p")
    namespace = kubectl("get", "pod", "p", "-o", "jsonpath={.metadata.namespace}")
    path = f"/api/v1/namespaces/{namespace}/pods/p"
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}

    def act(*request: Any) -> threading.Timer:
        timer = threading.Timer(0.5, embedded.ask, request, {"media_type": "application/merge-patch+json"})
        timer.start()
        return timer

    timer = act("PATCH", f"{path}/status", ready)
    assert "condition met" in kubectl("wait", "pod/p", "--for=condition=Ready", "--timeout=10s")
    timer.join()
    timer = threading.Timer(0.5, embedded.ask, ("DELETE", f"{path}?gracePeriodSeconds=0"))
    timer.start()
    assert 'pod "p" deleted' in kubectl("delete", "pod", "p", "--timeout=10s")
    timer.join()
    assert kubectl("get", "all", "-o", "name") == ""


def test_watch_rows(kubectl: Kubectl, environment: dict[str, str], tmp_path: Path) -> None:
    namespace = json.loads(kubectl("create", "configmap", "a", "-o", "json"))["metadata"]["namespace"]
    watching = subprocess.Popen(
        ["kubectl", "-n", namespace, "get", "cm", "-w", "--no-headers", "--output-watch-events"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[:3] == ["ADDED", "a", "0"]
        kubectl("delete", "cm", "a", "--wait=false")
        assert watching.stdout.readline().split()[:3] == ["DELETED", "a", "0"]
    finally:
        watching.terminate()
        watching.communicate(timeout=10)


def test_definitions_make_kinds(kubectl: Kubectl) -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.kubectl.example"},
        "spec": {
            "group": "kubectl.example",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "shortNames": ["thg"]},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == "v1",
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                }
                for version in ("v1", "v1beta1")
            ],
        },
    }
    assert "created" in kubectl("apply", "-f", "-", stdin=json.dumps(definition))
    assert "condition met" in kubectl(
        "wait", "crd/things.kubectl.example", "--for=condition=Established", "--timeout=5s"
    )
    thing = {"apiVersion": "kubectl.example/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"size": 3}}
    assert "created" in kubectl("apply", "-f", "-", stdin=json.dumps(thing))
    assert kubectl("get", "thg").split() == ["NAME", "SIZE", "t", "3"]
    assert (
        json.loads(kubectl("get", "things.v1beta1.kubectl.example", "t", "-o", "json"))["apiVersion"]
        == "kubectl.example/v1beta1"
    )
    assert "deleted" in kubectl("delete", "crd", "things.kubectl.example")
    assert "could not find the requested resource" in kubectl("get", "things", fails=True)
