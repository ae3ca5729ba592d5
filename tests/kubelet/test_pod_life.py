"""What becomes of a pod: phases, restarts, messages, deletion, and what it may not do."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from kubelet_fakes import World

from pytest_submariner.lab.kubeapi import ApiError

pytestmark = pytest.mark.asyncio


async def test_running_has_an_address_and_is_ready(world: World) -> None:
    name = await world.shell("sleep 100")
    status = await world.phase(name, "Running")
    assert (status["podIP"], status["hostIP"]) == ("10.8.1.10", "172.18.1.1")
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
    assert status["containerStatuses"][0]["ready"]


async def test_running_is_told_even_of_a_pod_that_ends_at_once(world: World) -> None:
    name = await world.shell("true")
    await world.phase(name, "Succeeded")
    assert [s["phase"] for s in world.api.statuses] == ["Running", "Succeeded"]
    assert world.pod(name)["status"]["podIP"]
    await world.api.until(lambda: not world.network.attached)


@pytest.mark.parametrize(
    ("script", "phase", "code"), [("exit 0", "Succeeded", 0), ("exit 7", "Failed", 7), ("kill -9 $$$$", "Failed", 137)]
)
async def test_exit_codes(world: World, script: str, phase: str, code: int) -> None:
    name = await world.shell(script)
    await world.phase(name, phase)
    assert world.state(name)["terminated"]["exitCode"] == code


async def test_termination_message_is_the_end_of_what_was_written(world: World) -> None:
    path = str(world.folder / "said")
    script = f"seq 2000 >{path}; exit 3"
    name = await world.shell(script, container={"terminationMessagePath": path})
    await world.phase(name, "Failed")
    message = world.state(name)["terminated"]["message"]
    assert len(message) == 4096
    assert message.endswith("1999\n2000\n")


async def test_message_falls_back_to_the_log_of_a_failure(world: World) -> None:
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    name = await world.shell("echo because; exit 1", container=policy)
    await world.phase(name, "Failed")
    assert world.state(name)["terminated"]["message"] == "because\n"


async def test_init_containers_run_in_order_and_share_volumes(world: World) -> None:
    place = str(world.folder / "shared")
    mount = {"volumeMounts": [{"name": "v", "mountPath": place}]}
    inits = [{"command": ["sh", "-c", f"echo {word} >>{place}/words"], **mount} for word in ("one", "two")]
    main = {"command": ["sh", "-c", f"test \"$(cat {place}/words | tr '\\n' ' ')\" = 'one two '"], **mount}
    name = await world.run(initContainers=inits, containers=[main], volumes=[{"name": "v", "emptyDir": {}}])
    status = await world.phase(name, "Succeeded", "Failed")
    assert status["phase"] == "Succeeded"
    assert [s["state"]["terminated"]["reason"] for s in status["initContainerStatuses"]] == ["Completed"] * 2


async def test_failed_init_container_fails_the_pod(world: World) -> None:
    name = await world.run(initContainers=[{"command": ["false"]}], containers=[{"command": ["true"]}])
    status = await world.phase(name, "Failed")
    assert world.state(name) == {"waiting": {"reason": "PodInitializing"}}
    assert "Initialized" in [c["type"] for c in status["conditions"] if c["status"] == "False"]


async def test_sidecar_ends_with_the_pods_work(world: World) -> None:
    sidecar = {"command": ["sleep", "100"], "restartPolicy": "Always"}
    name = await world.run(initContainers=[sidecar], containers=[{"command": ["true"]}])
    await world.phase(name, "Succeeded")
    await world.api.until(lambda: not world.spawner.alive())


async def test_unknown_image_names_the_toolsets(world: World) -> None:
    name = await world.run(containers=[{"image": "quay.io/none/nothing:1", "command": ["true"]}])
    await world.api.until(lambda: world.state(name).get("waiting", {}).get("reason") == "ImagePullBackOff")
    reasons = [s["containerStatuses"][0]["state"]["waiting"]["reason"] for s in world.api.statuses]
    assert reasons == ["ErrImagePull", "ImagePullBackOff"]
    assert world.pod(name)["status"]["phase"] == "Pending"
    assert "nettest" in world.state(name)["waiting"]["message"]
    patched = [{**world.pod(name)["spec"]["containers"][0], "image": "busybox"}]
    await world.api.patch(f"/api/v1/namespaces/ns/pods/{name}", {"spec": {"containers": patched}})
    await world.phase(name, "Succeeded")


async def test_program_that_is_not_there(world: World) -> None:
    name = await world.run(containers=[{"command": ["no-such-program"]}])
    await world.phase(name, "Failed")
    ended = world.state(name)["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert 'exec: "no-such-program": executable file not found in $PATH' in ended["message"]


async def test_missing_config_map_is_waited_for(world: World) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "a"}}}]
    name = await world.shell('test "$A" = 1', container={"env": env})
    await world.api.until(lambda: world.state(name).get("waiting", {}).get("reason") == "CreateContainerConfigError")
    assert world.state(name)["waiting"]["message"] == 'configmap "late" not found'
    await world.api.create("/api/v1/namespaces/ns/configmaps", {"metadata": {"name": "late"}, "data": {"a": "1"}})
    await world.phase(name, "Succeeded")


async def test_restarts_back_off(world: World) -> None:
    name = await world.shell("exit 1", restartPolicy="Always")
    await world.api.until(lambda: world.state(name).get("waiting", {}).get("reason") == "CrashLoopBackOff")
    status = world.pod(name)["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=c0 pod=")
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert world.pod(name)["status"]["phase"] == "Running"


async def test_on_failure_restarts_until_it_succeeds(world: World) -> None:
    mark = world.folder / "mark"
    name = await world.shell(f"test -e {mark} || {{ touch {mark}; exit 1; }}", restartPolicy="OnFailure")
    await world.phase(name, "Succeeded")
    assert world.pod(name)["status"]["containerStatuses"][0]["restartCount"] == 1


async def test_deletion_gives_time_to_end(world: World) -> None:
    said = world.folder / "said"
    name = await world.shell(f"trap 'echo bye >{said}; exit 0' TERM; echo ready >{said}; while :; do sleep 0.01; done")
    await world.phase(name, "Running")
    await world.api.until(lambda: said.exists() and said.read_text())
    path = f"/api/v1/namespaces/ns/pods/{name}"
    await world.api.delete(path)
    await world.api.until(lambda: path not in world.api.objects)
    assert said.read_text() == "bye\n"
    assert not world.spawner.alive()
    assert not world.network.attached
    await world.api.until(lambda: not list((world.folder / "state" / "pods").iterdir()))


async def test_deletion_kills_what_does_not_end(world: World) -> None:
    name = await world.shell("trap '' TERM; sleep 100 & while :; do wait; done")
    await world.phase(name, "Running")
    before = time.monotonic()
    path = f"/api/v1/namespaces/ns/pods/{name}"
    await world.api.delete(path, grace=1)
    await world.api.until(lambda: path not in world.api.objects)
    assert 0.9 < time.monotonic() - before < 3
    assert not world.spawner.alive()


async def test_forced_removal_ends_the_processes(world: World) -> None:
    name = await world.shell("trap '' TERM; while :; do sleep 1; done")
    await world.phase(name, "Running")
    path = f"/api/v1/namespaces/ns/pods/{name}"
    await world.api.delete(path)  # 30 s of grace, cut short by force
    await world.api.delete(path, grace=0)
    await world.api.until(lambda: not world.spawner.alive() and not world.network.attached, 5)


async def test_active_deadline(world: World) -> None:
    name = await world.shell("sleep 100", activeDeadlineSeconds=0.1, terminationGracePeriodSeconds=1)
    status = await world.phase(name, "Failed")
    assert status["reason"] == "DeadlineExceeded"
    await world.api.until(lambda: not world.spawner.alive())


async def test_trouble_of_the_api_does_not_fail_a_pod(world: World) -> None:
    world.api.trouble = [ApiError(500, "InternalError", "a bad moment"), ApiError(503, "Unavailable", "another")]
    name = await world.shell("sleep 100")
    await world.phase(name, "Running")


async def test_many_pods_start_together(world: World) -> None:
    names = await asyncio.gather(*(world.shell("sleep 100") for _ in range(10)))
    for name in names:
        await world.phase(name, "Running")


async def test_stop_leaves_no_process(world: World) -> None:
    name = await world.shell("sleep 100")
    await world.phase(name, "Running")
    await world.kubelet.stop()
    assert not world.spawner.alive()


async def test_node_is_registered(world: World) -> None:
    node = world.api.objects["/api/v1/nodes/c1-gw"]
    assert node["metadata"]["labels"]["submariner.io/gateway"] == "true"
    assert {"type": "InternalIP", "address": "172.18.1.1"} in node["status"]["addresses"]
    assert node["spec"]["providerID"].startswith("kind://")
    lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/c1-gw"
    await world.api.until(lambda: lease in world.api.objects)


async def test_folder_of_a_pod_is_its_own(world: World, tmp_path: Path) -> None:
    names = [await world.shell("sleep 100") for _ in range(2)]
    for name in names:
        await world.phase(name, "Running")
    folders = {world.pod(name)["metadata"]["uid"] for name in names}
    assert {p.name for p in (tmp_path / "state" / "pods").iterdir()} == folders
