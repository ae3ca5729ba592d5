"""The official Python client against the embedded server: models, custom objects, watch, dynamic client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from api_servers import Server

kubernetes = pytest.importorskip("kubernetes", reason="the kubernetes client is not installed")


@pytest.fixture(scope="module")
def client(embedded: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = embedded.kubeconfig(tmp_path_factory.mktemp("python-client"))
    made = kubernetes.config.new_client_from_config(str(path), persist_config=False)
    yield made
    made.close()


@pytest.fixture
def namespace(client: Any) -> str:
    made = kubernetes.client.CoreV1Api(client).create_namespace({"metadata": {"name": f"python-{uuid4().hex[:8]}"}})
    return str(made.metadata.name)


def test_pods_by_model(client: Any, namespace: str) -> None:
    core = kubernetes.client.CoreV1Api(client)
    body = {"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    pod = core.create_namespaced_pod(namespace, body)
    assert pod.metadata.name.startswith("p-")
    assert pod.status.phase == "Pending"
    core.patch_namespaced_pod(pod.metadata.name, namespace, {"metadata": {"labels": {"a": "b"}}})
    core.patch_namespaced_pod_status(
        pod.metadata.name, namespace, {"status": {"phase": "Running", "podIP": "10.0.0.1"}}
    )
    (listed,) = core.list_namespaced_pod(namespace, label_selector="a=b", field_selector="status.phase=Running").items
    assert listed.status.pod_ip == "10.0.0.1"
    core.delete_namespaced_pod(pod.metadata.name, namespace)
    with pytest.raises(kubernetes.client.exceptions.ApiException) as refusal:
        core.read_namespaced_pod(pod.metadata.name, namespace)
    assert refusal.value.status == 404


def test_custom_objects(client: Any, namespace: str) -> None:
    api = kubernetes.client.CustomObjectsApi(client)
    where = ("submariner.io", "v1", namespace, "endpoints")
    body = {
        "apiVersion": "submariner.io/v1",
        "kind": "Endpoint",
        "metadata": {"name": "e"},
        "spec": {"cluster_id": "c1"},
    }
    made = api.create_namespaced_custom_object(*where, body)
    made["spec"]["cluster_id"] = "c2"
    replaced = api.replace_namespaced_custom_object(*where, "e", made)
    assert replaced["metadata"]["generation"] == 2
    with pytest.raises(kubernetes.client.exceptions.ApiException) as refusal:
        api.replace_namespaced_custom_object(*where, "e", made)
    assert refusal.value.status == 409
    assert api.list_namespaced_custom_object(*where)["items"] == [replaced]


def test_watch(client: Any, namespace: str) -> None:
    core = kubernetes.client.CoreV1Api(client)
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    watch = kubernetes.watch.Watch()
    seen = []
    for event in watch.stream(core.list_namespaced_config_map, namespace, timeout_seconds=10):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 1:
            core.delete_namespaced_config_map("a", namespace)
        else:
            watch.stop()
    assert seen == [("ADDED", "a"), ("DELETED", "a")]


def test_dynamic_client(client: Any, namespace: str, tmp_path: Any) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(client, cache_file=str(tmp_path / "discovery"))
    api = dynamic.resources.get(api_version="multicluster.x-k8s.io/v1alpha1", kind="ServiceExport")
    body = {"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport", "metadata": {"name": "s"}}
    api.create(body=body, namespace=namespace)
    assert api.get(name="s", namespace=namespace).metadata.generation == 1
