"""Pods in real namespaces: what they see, who they are, and that nothing of them stays."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from running_lab import RunningLab

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not in PATH")


class Kubectl:
    """kubectl in a namespace of its own."""

    def __init__(self, lab: RunningLab, namespace: str) -> None:
        self._base = ["kubectl", f"--kubeconfig={lab.kubeconfig}", "--context=c1", f"--namespace={namespace}"]

    def __call__(self, *argv: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(
            [*self._base, *argv], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + ("" if check else done.stderr)

    def run(
        self, name: str, script: str, *, until: str = "Succeeded", container: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        """A pod of one shell script; returns when its phase is `until`."""
        spec = {"restartPolicy": "Never", "nodeName": "c1-w1", "terminationGracePeriodSeconds": 1, **spec}
        spec["containers"] = [
            {"name": "main", "image": "nettest", "command": ["sh", "-c", script], **(container or {})}
        ]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self("create", "-f", "-", stdin=json.dumps(pod))
        self("wait", f"--for=jsonpath={{.status.phase}}={until}", f"pod/{name}", "--timeout=20s")

    def ended(self, name: str) -> dict[str, Any]:
        """The terminated state of its container."""
        pod = json.loads(self("get", "pod", name, "-o", "json"))
        found: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        return found


@pytest.fixture(scope="module")
def kubectl(lab: RunningLab) -> Iterator[Kubectl]:
    made = Kubectl(lab, "pods-of-tests")
    made("create", "namespace", "pods-of-tests")
    yield made
    made("delete", "namespace", "pods-of-tests", "--wait=false")


def test_termination_log_is_writable_by_any_user(kubectl: Kubectl) -> None:
    kubectl.run(
        "message",
        "id -u; echo because >/dev/termination-log; exit 4",
        until="Failed",
        securityContext={"runAsUser": 10000},
    )
    ended = kubectl.ended("message")
    assert (ended["exitCode"], ended["message"]) == (4, "because\n")
    assert kubectl("logs", "message") == "10000\n"


def test_volumes_at_paths_the_machine_has_and_has_not(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=a=1")
    volumes = [
        {"name": "cm", "configMap": {"name": "settings"}},
        {"name": "e", "emptyDir": {}},
        {"name": "h", "hostPath": {"path": "/var/lib/of-the-node"}},
    ]
    places = {"/etc/settings/deep": "cm", "/usr/share/of-this-pod": "e", "/srv": "e", "/data": "h"}
    mounts = {"volumeMounts": [{"name": name, "mountPath": place} for place, name in places.items()]}
    script = "cat /etc/settings/deep/a /etc/hostname; echo x >/srv/x; cat /usr/share/of-this-pod/x; echo y >/data/y; "
    script += "! touch /etc/settings/deep/b"
    user = {"runAsUser": 10000}
    kubectl.run("volumes", script, container=mounts, volumes=volumes, securityContext=user)
    assert kubectl("logs", "volumes").split()[:3] == ["1volumes", "x", "touch:"]
    kubectl.run(
        "neighbour", "cat /data/y; ls /srv", container={"volumeMounts": mounts["volumeMounts"][2:]}, volumes=volumes
    )
    assert kubectl("logs", "neighbour") == "y\n"


def test_nothing_of_the_machine_can_be_written(kubectl: Kubectl) -> None:
    kubectl.run("reader", "for f in /usr /etc /bin /root /var; do touch $f/x 2>/dev/null && echo $f; done; true")
    assert kubectl("logs", "reader") == ""


def test_exec_is_the_containers_user_in_its_namespaces(kubectl: Kubectl) -> None:
    kubectl.run("steady", "sleep 1000", until="Running", securityContext={"runAsUser": 10000})
    assert (
        kubectl("exec", "steady", "--", "sh", "-c", "id -u; hostname; touch /tmp/mine && ls /tmp")
        == "10000\nsteady\nmine\n"
    )
    address = kubectl("get", "pod", "steady", "-o", "jsonpath={.status.podIP}")
    assert f"inet {address}/" in kubectl("exec", "steady", "--", "ip", "-4", "address", "show", "eth0")


def test_python_runs_for_any_user(kubectl: Kubectl) -> None:
    script = "import os, ssl, ctypes; print(os.getuid())"
    container = {"image": "python:3-slim", "command": ["python3", "-c", script]}
    kubectl.run("snake", "", container=container, securityContext={"runAsNonRoot": True})
    assert kubectl("logs", "snake") == "10000\n"


def test_host_network_is_the_nodes(kubectl: Kubectl, lab: RunningLab) -> None:
    kubectl.run("host", "hostname; ip -4 -o address show eth0", hostNetwork=True)
    node = next(n for n in lab.nodes if n["name"] == "c1-w1")
    lines = kubectl("logs", "host").splitlines()
    assert lines[0] == "c1-w1"
    assert node["ip"] in lines[1]


def test_deletion_ends_everything_even_what_left_its_session(kubectl: Kubectl, lab: RunningLab) -> None:
    mark = "987654"
    kubectl.run("stubborn", f"setsid sleep {mark} & trap '' TERM; while :; do wait; sleep 0.1; done", until="Running")
    assert mark in lab.run("c1-w1", "ps", "-eo", "args").stdout.decode()
    before = time.monotonic()
    kubectl("delete", "pod", "stubborn")
    assert time.monotonic() - before < 10
    assert mark not in lab.run("c1-w1", "ps", "-eo", "args").stdout.decode()


def test_client_gone_leaves_no_process(kubectl: Kubectl, lab: RunningLab) -> None:
    mark = "876543"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([*kubectl._base, "exec", "steady", "--", "sleep", mark], timeout=1, check=False)
    deadline = time.monotonic() + 5
    while mark in lab.run("c1-w1", "ps", "-eo", "args").stdout.decode():
        assert time.monotonic() < deadline
        time.sleep(0.05)
