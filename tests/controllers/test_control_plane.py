"""The controllers against the embedded API server: what a user of a cluster sees happen by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from control_plane import Plane, control_plane, set_ready, until

Object = dict[str, Any]
CORE, APPS = "/api/v1/namespaces/ns", "/apis/apps/v1/namespaces/ns"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices"
GATEWAY = "submariner.io__gateway"


def container() -> list[Object]:
    return [{"name": "main", "image": "nettest"}]


def pod(name: str, **spec: Any) -> Object:
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": container(), **spec}}


def workload(kind: str, name: str, spec: Object | None = None, **more: Any) -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": container(), **(spec or {})}}
    body: Object = {"selector": {"matchLabels": {"app": name}}, "template": template, **more}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def service(name: str, **spec: Any) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def names(items: list[Object]) -> list[str]:
    return sorted(item["metadata"]["name"] for item in items)


def condition(item: Object | None, kind: str) -> Object:
    conditions = ((item or {}).get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == kind), {})


async def start(plane: Plane) -> None:
    await plane.add_node("c1-gw", **{GATEWAY: "true"})
    await plane.add_node("c1-w1")
    await plane.add_namespace("ns")


@pytest.mark.asyncio
async def test_pods_are_spread_over_nodes_and_follow_affinity() -> None:
    async with control_plane() as plane:
        await start(plane)
        for i in range(4):
            await plane.api.create(f"{CORE}/pods", pod(f"p{i}"))
        await plane.api.create(f"{CORE}/pods", pod("gw", nodeSelector={"submariner.io/gateway": "true"}))
        found = await until(plane.pods, lambda pods: all(p["spec"].get("nodeName") for p in pods))
        nodes = {p["metadata"]["name"]: p["spec"]["nodeName"] for p in found}
        assert nodes["gw"] == "c1-gw"
        assert sorted(nodes[f"p{i}"] for i in range(4)) == ["c1-gw", "c1-gw", "c1-w1", "c1-w1"]
        assert condition(found[0], "PodScheduled")["status"] == "True"


@pytest.mark.asyncio
async def test_an_unschedulable_pod_says_why_and_runs_once_a_node_fits() -> None:
    async with control_plane() as plane:
        await start(plane)
        await plane.api.create(f"{CORE}/pods", pod("p", nodeSelector={"rack": "7"}))

        async def look() -> Object | None:
            return await plane.api.get(f"{CORE}/pods/p")

        why = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. "
        found = await until(look, lambda p: condition(p, "PodScheduled").get("message", "").startswith(why))
        assert condition(found, "PodScheduled")["reason"] == "Unschedulable"
        await plane.api.patch("/api/v1/nodes/c1-w1", {"metadata": {"labels": {"rack": "7"}}})
        found = await until(look, lambda p: p and p["spec"].get("nodeName"))
        assert found is not None
        assert found["spec"]["nodeName"] == "c1-w1"
        assert condition(found, "PodScheduled")["status"] == "True"


@pytest.mark.asyncio
async def test_a_service_gets_endpoints_slices_and_rules_and_loses_them() -> None:
    async with control_plane() as plane:
        await start(plane)
        made = await plane.api.create(f"{CORE}/services", service("web"))
        await plane.api.create(f"{CORE}/pods", pod("web"))
        await plane.api.create(f"{CORE}/pods", pod("other"))

        async def rules() -> str:
            return plane.network.texts.get("c1-w1", [""])[-1]

        text = await until(rules, lambda text: "ns/web ->" in text)
        (web,) = await plane.pods(app="web")
        address = web["status"]["podIP"]
        assert f"--to-destination {address}:8080" in text
        assert f"-d {made['spec']['clusterIP']}/32" in text
        assert "! -s 10.8.0.0/16" in text
        endpoints = await plane.api.get(f"{CORE}/endpoints/web")
        assert endpoints is not None
        (subset,) = endpoints["subsets"]
        assert [a["ip"] for a in subset["addresses"]] == [address]
        (found,) = await plane.api.list(SLICES, labels="kubernetes.io/service-name=web")
        assert found["endpoints"][0]["nodeName"] == web["spec"]["nodeName"]

        await plane.api.update(f"{CORE}/pods/web", lambda p: set_ready(p, False), subresource="status")
        await until(rules, lambda text: "has no endpoints" in text and f"{address}:8080" not in text)
        await plane.api.delete(f"{CORE}/services/web")
        await until(rules, lambda text: "ns/web" not in text)
        await until(lambda: plane.api.list(SLICES), lambda found: not found)
        await until(lambda: plane.api.get(f"{CORE}/endpoints/web"), lambda found: found is None)


@pytest.mark.asyncio
async def test_writes_come_to_rest() -> None:
    """No controller goes on rewriting what the server stored in another form than it was sent."""
    async with control_plane() as plane:
        await start(plane)
        await plane.api.create(f"{CORE}/services", service("web", ports=[{"name": "h", "port": 80}]))
        await plane.api.create(f"{CORE}/services", service("hl", clusterIP="None", ports=[]))
        await plane.api.create(f"{APPS}/deployments", workload("Deployment", "web", replicas=2))
        await plane.api.create(f"{APPS}/daemonsets", workload("DaemonSet", "hl"))
        await plane.api.create(f"{APPS}/statefulsets", workload("StatefulSet", "st", serviceName="hl"))
        await until(plane.pods, lambda pods: sum("podIP" in p["status"] for p in pods) == 5)
        await asyncio.sleep(0.2)
        before = await plane.api.list_at("/api/v1/nodes", {})
        await asyncio.sleep(0.2)
        assert (await plane.api.list_at("/api/v1/nodes", {}))[1] == before[1]


@pytest.mark.asyncio
async def test_endpoints_by_hand_are_mirrored_and_go_with_their_service() -> None:
    async with control_plane() as plane:
        await start(plane)
        subsets = [{"addresses": [{"ip": "1.2.3.4"}], "ports": [{"port": 8080}]}]
        body = {"metadata": {"name": "ext"}, "subsets": subsets}
        await plane.api.create(f"{CORE}/endpoints", body)
        await plane.api.create(f"{CORE}/endpoints", {**body, "metadata": {"name": "early"}})
        await plane.api.create(f"{CORE}/services", service("ext", selector=None))
        (found,) = await until(lambda: plane.api.list(SLICES), lambda found: found)
        assert found["endpoints"][0]["addresses"] == ["1.2.3.4"]
        await plane.api.delete(f"{CORE}/services/ext")
        await until(lambda: plane.api.list(SLICES), lambda found: not found)
        await until(lambda: plane.api.list(f"{CORE}/endpoints"), lambda found: names(found) == ["early"])


@pytest.mark.asyncio
async def test_a_daemonset_covers_fitting_nodes_and_replaces_what_is_lost() -> None:
    async with control_plane() as plane:
        await start(plane)
        await plane.api.create(f"{APPS}/daemonsets", workload("DaemonSet", "agent"))
        await plane.api.create(
            f"{APPS}/daemonsets", workload("DaemonSet", "gateway", {"nodeSelector": {"submariner.io/gateway": "true"}})
        )

        async def status() -> Object:
            found = await plane.api.get(f"{APPS}/daemonsets/agent")
            return (found or {}).get("status") or {}

        await until(status, lambda s: s.get("numberReady") == s.get("desiredNumberScheduled") == 2)
        (gateway,) = await plane.pods(app="gateway")
        assert gateway["spec"]["nodeName"] == "c1-gw"
        old = {p["metadata"]["uid"] for p in await plane.pods(app="agent")}
        (first, _) = await plane.pods(app="agent")
        assert first["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet"
        await plane.api.delete(f"{CORE}/pods/{first['metadata']['name']}")

        async def fresh() -> set[str]:
            return {p["metadata"]["uid"] for p in await plane.pods(app="agent") if p["status"].get("podIP")}

        new = await until(fresh, lambda uids: len(uids) == 2 and uids != old)
        assert len(new & old) == 1
        await plane.add_node("c1-w2")
        await until(status, lambda s: s.get("numberAvailable") == 3)
        await plane.api.patch("/api/v1/nodes/c1-gw", {"metadata": {"labels": {"submariner.io/gateway": None}}})
        await until(lambda: plane.pods(app="gateway"), lambda pods: not pods)


@pytest.mark.asyncio
async def test_a_new_template_rolls_a_daemonset_node_by_node() -> None:
    async with control_plane() as plane:
        await start(plane)
        await plane.api.create(f"{APPS}/daemonsets", workload("DaemonSet", "agent"))
        await until(lambda: plane.pods(app="agent"), lambda pods: sum("podIP" in p["status"] for p in pods) == 2)
        patch = {"spec": {"template": {"metadata": {"annotations": {"restartedAt": "now"}}}}}
        await plane.api.patch(f"{APPS}/daemonsets/agent", patch)

        async def look() -> Object:
            return await plane.api.get(f"{APPS}/daemonsets/agent") or {}

        def done(owner: Object) -> bool:
            status = owner["status"]
            seen = status.get("observedGeneration") == owner["metadata"]["generation"]
            return bool(seen and status.get("updatedNumberScheduled") == status.get("numberAvailable") == 2)

        await until(look, done)
        assert all(p["metadata"]["annotations"] == {"restartedAt": "now"} for p in await plane.pods(app="agent"))


@pytest.mark.asyncio
async def test_a_deployment_runs_scales_rolls_and_cleans_up() -> None:
    async with control_plane() as plane:
        await start(plane)
        path = f"{APPS}/deployments/web"
        await plane.api.create(f"{APPS}/deployments", workload("Deployment", "web", replicas=1))

        async def look() -> Object:
            return await plane.api.get(path) or {}

        found = await until(look, lambda d: condition(d, "Available").get("status") == "True")
        assert condition(found, "Progressing")["reason"] == "NewReplicaSetAvailable"
        await plane.api.patch(path, {"spec": {"replicas": 3}})
        await until(look, lambda d: d["status"].get("availableReplicas") == 3)
        old = names(await plane.pods(app="web"))
        template = {"metadata": {"annotations": {"restartedAt": "now"}}}
        await plane.api.patch(path, {"spec": {"template": template}})
        await until(lambda: plane.pods(app="web"), lambda pods: len(pods) == 3 and not set(names(pods)) & set(old))
        found = await until(look, lambda d: d["status"].get("updatedReplicas") == d["status"].get("replicas") == 3)
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
        assert len(await plane.api.list(f"{APPS}/replicasets")) == 2
        await plane.api.delete(path)
        await until(lambda: plane.pods(app="web"), lambda pods: not pods)
        await until(lambda: plane.api.list(f"{APPS}/replicasets"), lambda sets: not sets)


@pytest.mark.asyncio
async def test_a_statefulset_goes_up_and_down_in_order() -> None:
    async with control_plane() as plane:
        await start(plane)
        plane.kubelet.idle = {"c1-gw", "c1-w1"}
        await plane.api.create(f"{APPS}/statefulsets", workload("StatefulSet", "web", replicas=3, serviceName="web"))
        (first,) = await until(lambda: plane.pods(app="web"), lambda pods: pods)
        await asyncio.sleep(0.05)
        assert names(await plane.pods(app="web")) == ["web-0"]  # web-1 waits for it
        assert first["spec"]["hostname"] == "web-0"
        plane.kubelet.idle = set()
        await plane.api.patch(f"{CORE}/pods/web-0", {"metadata": {"annotations": {"wake": "up"}}})
        await until(lambda: plane.pods(app="web"), lambda pods: names(pods) == ["web-0", "web-1", "web-2"])
        await plane.api.patch(f"{APPS}/statefulsets/web", {"spec": {"replicas": 1}})
        await until(lambda: plane.pods(app="web"), lambda pods: names(pods) == ["web-0"])


@pytest.mark.asyncio
async def test_pods_go_with_their_owner_and_orphans_of_a_dead_one_too() -> None:
    async with control_plane() as plane:
        await start(plane)
        owner = await plane.api.create(f"{APPS}/daemonsets", workload("DaemonSet", "agent"))
        await until(lambda: plane.pods(app="agent"), lambda pods: len(pods) == 2)
        await plane.api.delete(f"{APPS}/daemonsets/agent")
        await until(lambda: plane.pods(app="agent"), lambda pods: not pods)
        late = pod("late")
        late["metadata"]["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": owner["metadata"]["uid"]}
        ]
        await plane.api.create(f"{CORE}/pods", late)
        await until(lambda: plane.pods(app="late"), lambda pods: not pods)


@pytest.mark.asyncio
@pytest.mark.parametrize(("finalizer", "pods_left"), [("foregroundDeletion", 0), ("orphan", 2)])
async def test_foreground_and_orphan_deletion(finalizer: str, pods_left: int) -> None:
    async with control_plane() as plane:
        await start(plane)
        body = workload("ReplicaSet", "web", replicas=2)
        body["metadata"]["finalizers"] = [finalizer]
        await plane.api.create(f"{APPS}/replicasets", body)
        await until(lambda: plane.pods(app="web"), lambda pods: sum("podIP" in p["status"] for p in pods) == 2)
        await plane.api.delete(f"{APPS}/replicasets/web")
        await until(lambda: plane.api.get(f"{APPS}/replicasets/web"), lambda found: found is None)
        found = await plane.pods(app="web")
        assert len(found) == pods_left
        assert all(not p["metadata"].get("ownerReferences") for p in found)


@pytest.mark.asyncio
async def test_every_namespace_has_an_account_and_the_authoritys_certificate() -> None:
    async with control_plane() as plane:
        await plane.add_namespace("ns")
        await until(lambda: plane.api.get(f"{CORE}/serviceaccounts/default"), lambda found: found)
        found = await until(lambda: plane.api.get(f"{CORE}/configmaps/kube-root-ca.crt"), lambda found: found)
        assert found is not None
        assert found["data"]["ca.crt"] == plane.api.ca_pem.decode()
        await plane.api.delete(f"{CORE}/serviceaccounts/default")
        await until(lambda: plane.api.get(f"{CORE}/serviceaccounts/default"), lambda found: found)


@pytest.mark.asyncio
async def test_a_deleted_namespace_waits_for_its_pods_then_goes_with_all_that_is_in_it() -> None:
    async with control_plane() as plane:
        await start(plane)
        plane.kubelet.idle = {"c1-w1"}
        await plane.api.create(f"{CORE}/pods", pod("slow", nodeName="c1-w1"))
        await plane.api.create(f"{CORE}/configmaps", {"metadata": {"name": "cm"}})
        await plane.api.create(f"{APPS}/deployments", workload("Deployment", "web", replicas=2))
        custom = {"apiVersion": "submariner.io/v1", "kind": "Cluster", "metadata": {"name": "c1"}}
        spec = {"cluster_id": "c1", "cluster_cidr": [], "global_cidr": [], "service_cidr": []}
        await plane.api.create("/apis/submariner.io/v1/namespaces/ns/clusters", {**custom, "spec": spec})
        await until(plane.pods, lambda pods: len(pods) == 3)
        await plane.api.delete("/api/v1/namespaces/ns")
        await until(plane.pods, lambda pods: names(pods) == ["slow"])
        found = await plane.api.get("/api/v1/namespaces/ns")
        assert found is not None
        assert found["status"]["phase"] == "Terminating"
        await plane.api.delete(f"{CORE}/pods/slow", grace=0)
        await until(lambda: plane.api.get("/api/v1/namespaces/ns"), lambda found: found is None)
        await plane.add_namespace("ns")
        assert await plane.api.list(f"{CORE}/configmaps", fields="metadata.name=cm") == []
        assert await plane.pods() == []


@pytest.mark.asyncio
async def test_an_empty_namespace_goes() -> None:
    async with control_plane() as plane:
        await plane.add_namespace("ns")
        await plane.api.delete("/api/v1/namespaces/ns")
        await until(lambda: plane.api.get("/api/v1/namespaces/ns"), lambda found: found is None)


@pytest.mark.asyncio
async def test_stop_leaves_no_task_and_no_watch_behind() -> None:
    before = asyncio.all_tasks()
    async with control_plane() as plane:
        await start(plane)
        await plane.api.create(f"{APPS}/daemonsets", workload("DaemonSet", "agent"))
        await until(plane.pods, lambda pods: len(pods) == 2)
        assert len(asyncio.all_tasks() - before) > 10

    async def left() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks() - before if not task.done()}

    await until(left, lambda tasks: not tasks)


@pytest.mark.asyncio
async def test_a_node_is_tainted_while_it_is_not_ready() -> None:
    async with control_plane() as plane:
        await start(plane)

        async def taints() -> list[str]:
            node = await plane.api.get("/api/v1/nodes/c1-w1") or {}
            return [f"{t['key']}:{t['effect']}" for t in node["spec"].get("taints") or ()]

        await until(taints, lambda found: not found)
        await plane.set_ready("c1-w1", False)
        await until(taints, lambda found: found == ["node.kubernetes.io/not-ready:NoSchedule"])
        await plane.set_ready("c1-w1", True)
        await until(taints, lambda found: not found)
