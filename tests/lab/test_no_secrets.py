"""No report holds a secret: planted wherever clusters keep them, then looked for in every byte that a failing run writes."""

from __future__ import annotations

import base64
import json
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from running_lab import RunningLab, submariner_lab

from pytest_submariner.kube.client import KubeClient

OPERATOR = "submariner-operator"
SUITE = "suites/cross_cluster/test_pod_to_pod.py"


class Plants:
    """Secrets of a cluster, each once. Objects are put back as they were."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self.values: dict[str, str] = {}
        self._undo: list[tuple[str, str, str | None, dict[str, Any]]] = []
        self._made: list[tuple[str, str, str | None]] = []

    def secret(self, name: str) -> str:
        self.values[name] = f"{secrets.token_hex(4)}-{secrets.token_urlsafe(9)}-{name}"
        return self.values[name]

    def key(self, name: str) -> str:
        """Thirty-two bytes, as WireGuard has them."""
        self.values[name] = base64.b64encode(secrets.token_bytes(32)).decode()
        return self.values[name]

    def into(
        self, resource: str, name: str, namespace: str | None, patch: dict[str, Any], undo: dict[str, Any]
    ) -> None:
        self._kube.patch(resource, name, patch, namespace=namespace)
        self._undo.append((resource, name, namespace, undo))

    def make(self, resource: str, name: str, namespace: str | None, body: dict[str, Any]) -> None:
        self._kube.create(resource, {"metadata": {"name": name}, **body}, namespace=namespace)
        self._made.append((resource, name, namespace))

    def remove(self) -> None:
        for resource, name, namespace, undo in reversed(self._undo):
            self._kube.patch(resource, name, undo, namespace=namespace)
        for resource, name, namespace in self._made:
            self._kube.delete(resource, name, namespace=namespace, grace=0)  # no kubelet ends what is nowhere


def plant(kube: KubeClient) -> Plants:
    plants = Plants(kube)
    encoded = base64.b64encode(plants.secret("psk").encode()).decode()
    plants.make("secrets", "planted-ipsec-psk", OPERATOR, {"type": "Opaque", "data": {"psk": encoded}})
    token = {"token": base64.b64encode(plants.secret("broker-token").encode()).decode()}
    plants.make("secrets", "planted-broker", OPERATOR, {"type": "Opaque", "data": token})
    installation = kube.list("submariners.submariner.io")[0]["metadata"]["name"]
    spec = {"ceIPSecPSK": plants.secret("spec-psk"), "brokerK8sApiServerToken": plants.secret("spec-token")}
    plants.into("submariners.submariner.io", installation, OPERATOR, {"spec": spec}, {"spec": dict.fromkeys(spec)})
    applied = json.dumps({"spec": {"anything": plants.secret("last-applied")}})
    annotations = {
        "kubectl.kubernetes.io/last-applied-configuration": applied,
        "example.com/api-token": plants.secret("annotation"),
        "example.com/note": f"connect with password={plants.secret('annotation-text')}",
    }
    for node in kube.list("nodes"):
        change = {"metadata": {"annotations": annotations}}
        undo = {"metadata": {"annotations": dict.fromkeys(annotations)}}
        plants.into("nodes", node["metadata"]["name"], None, change, undo)
    endpoint = kube.list("endpoints.submariner.io", namespace=OPERATOR)[0]["metadata"]["name"]
    backend = {"private-key": plants.key("wireguard"), "note": plants.key("key-without-a-name")}
    plants.into(
        "endpoints.submariner.io",
        endpoint,
        OPERATOR,
        {"spec": {"backend_config": backend}},
        {"spec": {"backend_config": dict.fromkeys(backend)}},
    )
    jwt = ".".join(base64.urlsafe_b64encode(secrets.token_bytes(30)).decode().rstrip("=") for _ in range(3))
    plants.values["jwt"] = jwt = f"eyJ{jwt}"
    container = {
        "name": "planted",
        "image": "nettest",
        "command": ["sleep", "3600"],
        "args": [
            "--token",
            plants.secret("argument"),
            f"--psk={plants.secret('flag')}",
            f"Authorization: Bearer {jwt}",
        ],
        "env": [
            {"name": "BROKER_K8S_APISERVERTOKEN", "value": plants.secret("environment")},
            {"name": "URL", "value": f"https://admin:{plants.secret('url')}@broker.example:6443"},
        ],
    }
    plants.make(
        "pods", "submariner-gateway-planted", OPERATOR, {"spec": {"containers": [container], "nodeName": "nowhere"}}
    )
    corefile = f"forward . tls://1.1.1.1 # password: {plants.secret('corefile')}"
    body = {"data": {"Corefile": corefile, "apiToken": plants.secret("configmap")}}
    plants.make("configmaps", "coredns-custom", "kube-system", body)
    return plants


def of_kubeconfig(file: str) -> dict[str, str]:
    """Tokens, keys and certificates of its users."""
    users = yaml.safe_load(Path(file).read_text(encoding="utf-8"))["users"]
    return {
        f"{user['name']}/{field}": value
        for user in users
        for field, value in user["user"].items()
        if isinstance(value, str) and not field.endswith("certificate-data")
    }


def every_file(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        if file.name.endswith(".tar.gz"):
            with tarfile.open(file) as archive:
                for entry in archive:
                    content = archive.extractfile(entry)
                    assert content is not None
                    yield f"{file.name}!{entry.name}", content.read()
        yield str(file.relative_to(folder)), file.read_bytes()


@pytest.fixture
def planted(lab: RunningLab) -> Iterator[dict[str, str]]:
    """Secrets by name, in cluster c1 of a lab in which a path fails."""
    kube = KubeClient(lab.kubeconfig, lab.contexts[0])
    assert submariner_lab("inject", "--name", lab.name, "overlay-link-down").returncode == 0
    plants = plant(kube)
    try:
        yield {**plants.values, **of_kubeconfig(lab.kubeconfig)}
    finally:
        plants.remove()
        kube.close()
        assert submariner_lab("heal", "--name", lab.name, "--all").returncode == 0


def test_no_report_of_a_failing_run_holds_a_secret(lab: RunningLab, planted: dict[str, str], tmp_path: Path) -> None:
    reports = [
        f"--alluredir={tmp_path}/allure",
        f"--junitxml={tmp_path}/junit.xml",
        f"--submariner-markdown={tmp_path}/run.md",
    ]
    status, results, said = lab.pytest([SUITE, "-v", "-k", "tcp", *reports], tmp_path)
    assert status == 1, said
    assert [finding["code"] for finding in results["findings"]][:1] == ["OVERLAY_LINK_DOWN"]
    found = dict(every_file(tmp_path)) | {"terminal": said.encode()}
    names = [name.partition("submariner-sysdump/")[2] for name in found]
    assert {"index.html", "observation.json", "clusters/c1/objects/pods.yaml", "clusters/c1/nodes/c1-w1.txt"} <= set(
        names
    )
    assert (
        "submariner-gateway-planted"
        in found["sysdump.tar.gz!submariner-sysdump/clusters/c1/objects/pods.yaml"].decode()
    )
    leaks = {
        (secret, name)
        for secret, value in planted.items()
        for form in (value, base64.b64encode(value.encode()).decode().rstrip("="), json.dumps(value)[1:-1])
        for name, content in found.items()
        if form.encode() in content
    }
    assert leaks == set()
