"""What a pod's specification turns into: environment, command, user, volumes, files in /etc."""

from __future__ import annotations

from typing import Any

import pytest
from kubelet_fakes import World

from pytest_submariner.lab import toolsets
from pytest_submariner.lab.kubelet import podfiles
from pytest_submariner.lab.kubelet.expansion import expand
from pytest_submariner.lab.kubelet.quantity import NotAQuantityError, quantity


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)-$(B)", "1-2"),
        ("$(seq 5)", "$(seq 5)"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $ $( $(A", "$A $ $( $(A"),
        ("$(A$(B))", "$(A$(B))"),
        ("100%", "100%"),
    ],
)
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == result


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nettest", "nettest"),
        ("quay.io/submariner/nettest:0.19.0", "nettest"),
        ("localhost:5000/nettest", "nettest"),
        ("nicolaka/netshoot@sha256:0123", "netshoot"),
        ("docker.io/library/python:3-slim", "python"),
        ("quay.io/submariner/submariner-route-agent:devel", "submariner-route-agent"),
    ],
)
def test_images_by_their_last_word(image: str, name: str) -> None:
    assert toolsets.find(image).name == name


def test_image_without_toolset_names_those_there_are() -> None:
    with pytest.raises(
        toolsets.UnknownImage, match=r'"example/thing:1".*python, nettest, nettest-minimal, netshoot, busybox'
    ):
        toolsets.find("example/thing:1")


@pytest.mark.parametrize(("text", "value"), [("250m", 0.25), ("2", 2), ("1.5Gi", 1.5 * 2**30), ("3k", 3000)])
def test_quantity(text: str, value: float) -> None:
    assert quantity(text) == value


def test_quantity_that_is_none() -> None:
    with pytest.raises(NotAQuantityError, match="'lots' is not a quantity"):
        quantity("lots")


def pod_of(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}


def test_etc_files() -> None:
    spec = pod_of(
        hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}],
        dnsConfig={"options": [{"name": "ndots", "value": "1"}]},
    )
    files = podfiles.etc(spec, ip="10.8.1.10", hostname="p", dns=["100.8.0.10"])
    assert b"10.8.1.10\tp\n1.2.3.4\ta\tb\n" in files["/etc/hosts"]
    assert files["/etc/resolv.conf"] == (
        b"nameserver 100.8.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:1\n"
    )


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["x"]}},
            b"nameserver 9.9.9.9\nsearch x\n",
        ),
        ({"hostNetwork": True}, b""),
        (
            {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet", "dnsConfig": {}},
            b"nameserver 1.1.1.1\nsearch ",
        ),
    ],
)
def test_dns_policies(spec: dict[str, Any], text: bytes) -> None:
    found = podfiles.etc(pod_of(**spec), ip="", hostname="p", dns=["1.1.1.1"])["/etc/resolv.conf"]
    assert found.startswith(text)
    assert bool(found) is bool(text)


async def environment_of(world: World, *entries: dict[str, Any], **container: Any) -> dict[str, str]:
    name = await world.shell("env", container={"env": list(entries), **container})
    await world.phase(name, "Succeeded")
    return dict(world.spawner.specs[-1].env)


async def add(world: World, kind: str, name: str, **content: Any) -> None:
    await world.api.create(f"/api/v1/namespaces/ns/{kind}", {"metadata": {"name": name}, **content})


@pytest.mark.asyncio
async def test_environment(world: World) -> None:
    await add(world, "configmaps", "cm", data={"a": "from map", "b": "b"})
    await add(world, "secrets", "s", data={"key": "c2VjcmV0"})
    env = await environment_of(
        world,
        {"name": "LITERAL", "value": "x"},
        {"name": "REFERS", "value": "$(LITERAL)$(P_a) $(LATER) $(seq 3)"},
        {"name": "LATER", "value": "late"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "z", "optional": True}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        envFrom=[{"prefix": "P_", "configMapRef": {"name": "cm"}}, {"secretRef": {"name": "absent", "optional": True}}],
        resources={"limits": {"cpu": "1500m"}},
    )
    assert env["REFERS"] == "xfrom map $(LATER) $(seq 3)"
    assert (env["P_b"], env["IP"], env["NODE"], env["APP"]) == ("b", "10.8.1.10", "c1-gw", "test")
    assert (env["SECRET"], env["CPU"]) == ("secret", "1500")
    assert "NONE" not in env
    assert env["KUBERNETES_SERVICE_HOST"] == "100.8.0.1"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}, 'secret "none" not found'),
        ({"valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}, "couldn't find key k in ConfigMap ns/cm"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "spec.containers"}}}, "fieldPath 'spec.containers' is not a field"),
    ],
)
async def test_what_is_not_there_is_said(world: World, env: dict[str, Any], message: str) -> None:
    await add(world, "configmaps", "cm", data={})
    name = await world.shell("true", container={"env": [{"name": "A", **env}]})
    await world.api.until(lambda: "waiting" in world.state(name))
    waiting = world.state(name)["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert message in waiting["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("pod", "container", "uid"),
    [
        ({}, {}, None),
        ({"runAsUser": 7}, {}, 7),
        ({"runAsUser": 7}, {"runAsUser": 8}, 8),
        ({"runAsNonRoot": True}, {}, toolsets.NON_ROOT_UID),
        ({}, {"privileged": True}, None),
        ({}, {"runAsUser": 0}, None),
    ],
)
async def test_user(world: World, pod: dict[str, Any], container: dict[str, Any], uid: int | None) -> None:
    name = await world.shell("true", container={"securityContext": container}, securityContext=pod)
    await world.phase(name, "Succeeded")
    assert world.spawner.specs[-1].uid == uid


@pytest.mark.asyncio
async def test_root_against_the_pods_own_policy(world: World) -> None:
    name = await world.shell("true", securityContext={"runAsNonRoot": True, "runAsUser": 0})
    await world.api.until(lambda: "waiting" in world.state(name))
    assert "breaks non-root policy" in world.state(name)["waiting"]["message"]


@pytest.mark.asyncio
async def test_command_args_and_folder(world: World) -> None:
    env = [{"name": "A", "value": "1"}]
    name = await world.run(
        containers=[{"command": ["echo", "$(A)"], "args": ["$$(A)"], "workingDir": "/usr", "env": env}]
    )
    await world.phase(name, "Succeeded")
    spec = world.spawner.specs[-1]
    assert (spec.argv, spec.cwd) == (("echo", "1", "$(A)"), "/usr")


@pytest.mark.asyncio
async def test_functions_of_the_lab_are_for_its_own_images(world: World) -> None:
    command = ["@python", "some.module:main", "x"]
    name = await world.run(containers=[{"image": "busybox", "command": command}])
    await world.api.until(lambda: "waiting" in world.state(name))
    assert "needs an image of the lab (not busybox)" in world.state(name)["waiting"]["message"]
    await world.run(containers=[{"image": "submariner-lab", "command": command}])
    await world.api.until(lambda: world.spawner.specs)
    assert (world.spawner.specs[-1].argv, world.spawner.specs[-1].python) == (("some.module:main", "x"), True)


@pytest.mark.asyncio
async def test_host_network_is_the_nodes(world: World) -> None:
    name = await world.shell("sleep 100", hostNetwork=True)
    status = await world.phase(name, "Running")
    assert status["podIP"] == "172.18.1.1"
    assert world.spawner.sandboxes[-1]["hostname"] == "c1-gw"
    assert not world.network.attached


@pytest.mark.asyncio
async def test_volumes(world: World) -> None:
    await add(world, "configmaps", "cm", data={"a": "1", "b": "2"}, binaryData={"c": "/w=="})
    await add(world, "secrets", "s", data={"key": "c2VjcmV0"})
    at = str(world.folder / "at")
    volumes = [
        {
            "name": "cm",
            "configMap": {
                "name": "cm",
                "items": [{"key": "a", "path": "deep/a"}, {"key": "c", "path": "c", "mode": 0o600}],
            },
        },
        {"name": "s", "secret": {"secretName": "s"}},
        {"name": "d", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "cm"}}, {"secret": {"name": "s"}}]}},
        {"name": "h", "hostPath": {"path": "/var/lib/thing"}},
        {"name": "u", "hostPath": {"path": "/usr"}},
        {"name": "e", "emptyDir": {}},
    ]
    mounts = [{"name": v["name"], "mountPath": f"{at}/{v['name']}"} for v in volumes]
    mounts += [
        {"name": "e", "mountPath": f"{at}/sub", "subPath": "x/y"},
        {"name": "cm", "mountPath": f"{at}/one", "subPath": "c"},
    ]
    script = f"cd {at}; cat cm/deep/a s/key d/labels p/b; touch h/left e/file sub/file; sleep 100"
    name = await world.shell(script, container={"volumeMounts": mounts}, volumes=volumes)
    await world.phase(name, "Running")
    sandbox = world.spawner.sandboxes[-1]
    assert {target.rpartition("/")[2] for target in sandbox["binds"]} == {"cm", "s", "d", "p", "u", "one"}
    assert {target.rpartition("/")[2] for target in sandbox["shares"]} == {"h", "e", "sub", "termination-log"}
    assert sandbox["binds"][f"{at}/u"] == "/usr"
    node = world.folder / "state" / "nodes" / "c1-gw" / "var" / "lib" / "thing"
    await world.api.until((node / "left").exists)
    second = await world.shell(f"test -e {at}/h/left", container={"volumeMounts": mounts[4:5]}, volumes=volumes[4:5])
    await world.phase(second, "Succeeded")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("volume", "mount", "message"),
    [
        (
            {"persistentVolumeClaim": {"claimName": "c"}},
            {},
            "the lab has no persistentVolumeClaim volumes; it has emptyDir",
        ),
        ({"hostPath": {"path": "/run/../etc"}}, {}, "must be absolute, without .."),
        ({"hostPath": {"path": "/run/x.sock", "type": "Socket"}}, {}, "of type Socket is not here"),
        ({"hostPath": {"path": "/dev"}}, {}, "/dev of the node is there at the same path only"),
        ({"configMap": {"name": "none"}}, {}, 'configmap "none" not found'),
        ({"emptyDir": {}}, {"subPath": "../up"}, "must be relative, without .."),
        ({"emptyDir": {}}, {"name": "other"}, "the pod has no volume 'other'"),
    ],
)
async def test_volumes_that_cannot_be(
    world: World, volume: dict[str, Any], mount: dict[str, Any], message: str
) -> None:
    mounts = [{"name": "v", "mountPath": str(world.folder / "v"), **mount}]
    name = await world.shell("true", container={"volumeMounts": mounts}, volumes=[{"name": "v", **volume}])
    await world.api.until(lambda: "waiting" in world.state(name))
    waiting = world.state(name)["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert message in waiting["message"]


@pytest.mark.asyncio
async def test_a_link_in_a_volume_leads_nowhere_else(world: World) -> None:
    place = world.folder / "v"
    mount = {"name": "v", "mountPath": str(place)}
    init = {"command": ["ln", "-s", "/etc", f"{place}/out"], "volumeMounts": [mount]}
    main = {"command": ["true"], "volumeMounts": [{**mount, "subPath": "out"}]}
    name = await world.run(initContainers=[init], containers=[main], volumes=[{"name": "v", "emptyDir": {}}])
    await world.api.until(lambda: "leads out of its volume" in str(world.state(name)))


@pytest.mark.asyncio
async def test_a_link_on_a_node_leads_nowhere_else(world: World) -> None:
    volumes = [{"name": "h", "hostPath": {"path": "/data"}}]
    mount = {"volumeMounts": [{"name": "h", "mountPath": str(world.folder / "h")}]}
    first = await world.shell(f"ln -s /etc {world.folder}/h/out", container=mount, volumes=volumes)
    await world.phase(first, "Succeeded")
    volumes = [{"name": "h", "hostPath": {"path": "/data/out"}}]
    second = await world.shell("true", container=mount, volumes=volumes)
    await world.api.until(lambda: "leads out of its volume" in str(world.state(second)))
