"""Reading a cluster's objects for a diagnosis: what is asked for, what refusals become, what never leaves."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_submariner.diagnose.objects import reader as objects
from pytest_submariner.diagnose.objects.agentlogs import MOST_LINES, trouble
from pytest_submariner.diagnose.objects.clusterobjects import RESOURCES, BrokerProblem, ClusterObjects, Object
from pytest_submariner.diagnose.objects.redaction import REDACTED, lean, redact
from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.kube.account import Account, Untrusted
from pytest_submariner.kube.errors import AccessDenied, ApiError, ResourceAbsent

PLANTED = "eyJhbGciOiJSUzI1NiJ9.cGxhbnRlZC10b2tlbg.c2lnbmF0dXJl"
PSK = base64.b64encode(b"planted-pre-shared-key-of-the-test-1234567890abc").decode()
OPERATOR = "submariner-operator"


def meta(name: str, namespace: str = "", **labels: str) -> dict[str, Any]:
    return {"name": name, "labels": labels, **({"namespace": namespace} if namespace else {})}


class Api:
    """A cluster by resource; `refuse` says what a resource's list raises."""

    def __init__(self, found: dict[str, list[Object]], refuse: dict[str, Exception] | None = None) -> None:
        self.found, self.refuse = found, refuse or {}
        self.asked: list[tuple[str, str | None]] = []
        self.read: list[tuple[str, str, str | None]] = []
        self.rest = self

    def clock(self) -> float:
        if "clock" in self.refuse:
            raise self.refuse["clock"]
        return 1_700_000_000.0

    def list(self, resource: str, *, namespace: str | None = None, labels: str = "", fields: str = "") -> list[Object]:
        self.asked.append((resource, namespace))
        if resource in self.refuse:
            raise self.refuse[resource]
        items = self.found.get(resource, [])
        return [item for item in items if namespace in (None, item["metadata"].get("namespace"))]

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> Object | None:
        return next((i for i in self.list(resource, namespace=namespace) if i["metadata"]["name"] == name), None)

    def logs(self, namespace: str, pod: str, container: str | None = None, *, tail: int = 200) -> str:
        self.read.append((namespace, pod, container))
        return f"I1122 all is well\n\x1b[90m12:00\x1b[0m \x1b[31mERR\x1b[0m broker says: Unauthorized token={PLANTED}\n"


def pod(name: str, namespace: str, node: str = "n1") -> Object:
    env = [
        {"name": "BROKER_K8S_APISERVERTOKEN", "value": PLANTED},
        {"name": "CE_IPSEC_PSK", "value": PSK},
        {"name": "NODE", "value": "n"},
    ]
    return {"metadata": meta(name, namespace), "spec": {"nodeName": node, "containers": [{"name": "main", "env": env}]}}


def installation(**spec: Any) -> Object:
    known = {
        "brokerK8sApiServer": "broker:6443",
        "brokerK8sApiServerToken": PLANTED,
        "brokerK8sCA": base64.b64encode(b"pem").decode(),
    }
    body = {**known, "brokerK8sRemoteNamespace": "the-broker", "ceIPSecPSK": PSK, **spec}
    applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(body)}
    return {"metadata": {**meta("submariner", OPERATOR), "annotations": applied}, "spec": body}


def cluster(**more: list[Object]) -> dict[str, list[Object]]:
    endpoint = {"metadata": meta("e1", OPERATOR), "spec": {}}
    copy = {"metadata": meta("e1", "the-broker"), "spec": {}}
    return {
        "submariners.submariner.io": [installation()],
        "endpoints.submariner.io": [endpoint, copy],
        "namespaces": [{"metadata": meta(n)} for n in ("kube-system", OPERATOR, "the-broker", "big")]
        + [{"metadata": meta("probes", **{"app.kubernetes.io/managed-by": "pytest-submariner"})}],
        "pods": [
            pod("submariner-gateway-x", OPERATOR),
            pod("submariner-routeagent-x", OPERATOR),
            pod("submariner-routeagent-y", OPERATOR, "n2"),
            pod("kube-proxy-x", "kube-system"),
            pod("etcd-x", "kube-system"),
            pod("pod-n1", "probes"),
            pod("app", "big"),
        ],
        **more,
    }


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker's server has these objects."""

    def answer(self: object, resource: str, namespace: str) -> tuple[Object, ...]:
        assert namespace == "the-broker"
        return ({"metadata": meta(resource, namespace)},)

    monkeypatch.setattr("pytest_submariner.kube.account.Account.list", answer)


def read(api: Api, nodes: tuple[str, ...] = ()) -> ClusterObjects:
    return objects.read_objects(api, "c1", nodes)


def names(found: ClusterObjects, kind: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in found[kind])


def test_every_kind_is_read() -> None:
    found = read(Api(cluster()))
    assert set(found.found) == set(RESOURCES)
    assert dict(found.unread) == {}
    assert found.clock_s == 1_700_000_000.0


def test_pods_of_submariner_of_the_system_and_of_probes_only() -> None:
    api = Api(cluster())
    found = read(api)
    assert names(found, "pods") == [
        "kube-proxy-x",
        "pod-n1",
        "submariner-gateway-x",
        "submariner-routeagent-x",
        "submariner-routeagent-y",
    ]
    assert ("pods", None) not in api.asked
    assert ("pods", "big") not in api.asked


def test_the_brokers_copies_are_not_the_clusters() -> None:
    found = read(Api(cluster()))
    assert [item["metadata"]["namespace"] for item in found["endpoints"]] == [OPERATOR]
    assert found.broker is not None
    assert [item["metadata"]["name"] for item in found.broker["endpoints"]] == ["endpoints.submariner.io"]


def test_services_of_namespaces_that_export() -> None:
    export = {"metadata": meta("shop", "web")}
    services = [{"metadata": meta(n, s)} for n, s in (("shop", "web"), ("other", "big"), ("lighthouse", OPERATOR))]
    found = read(Api(cluster(**{"serviceexports.multicluster.x-k8s.io": [export], "services": services})))
    assert names(found, "services") == ["lighthouse", "shop"]


def test_absent_kinds_are_empty_and_denied_ones_unread() -> None:
    refuse: dict[str, Exception] = {
        "ippools.crd.projectcalico.org": ResourceAbsent("this cluster has no ippools"),
        "nodes": ApiError("context c1: GET /api/v1/nodes: 403 nodes is forbidden", 403, "Forbidden"),
        "pods": ApiError("pods is forbidden", 403, "Forbidden"),
    }
    found = read(Api(cluster(), refuse))
    assert found["ippools"] == ()
    assert found.knows("ippools")
    assert not found.knows("nodes")
    assert "403 nodes is forbidden" in found.unread["nodes"]
    assert not found.knows("pods")


def test_a_server_that_does_not_answer_is_asked_once() -> None:
    api = Api(cluster(), {"clock": NodeUnreachable("context c1: https://x refused the connection")})
    found = read(api)
    assert api.asked == []
    assert set(found.unread) == set(RESOURCES)
    assert found.broker_problem is BrokerProblem.UNKNOWN


def test_no_secret_leaves() -> None:
    found = read(Api(cluster()), ("n1",))
    text = json.dumps(found.to_dict())
    assert REDACTED in text
    assert PLANTED not in str(found)
    for secret in (PLANTED, PSK, base64.b64encode(b"pem").decode()):
        assert secret not in text
    assert ClusterObjects.from_dict(json.loads(text)) == replace(found, tails={})


def test_logs_of_agents_and_of_the_nodes_asked_for() -> None:
    api = Api(cluster())
    found = read(api, ("n2",))
    assert sorted(pod for _, pod, _ in api.read) == ["submariner-gateway-x", "submariner-routeagent-y"]
    assert found.logs["submariner-gateway-x/main"] == (f"12:00 ERR broker says: Unauthorized token={REDACTED}",)


def test_keys_can_be_compared_and_not_guessed() -> None:
    spec_key = read(Api(cluster())).psk_digest
    secret = {"metadata": meta("psk", OPERATOR), "data": {"psk": PSK}}
    named = [installation(ceIPSecPSKSecret="psk", ceIPSecPSK="")]
    by_secret = read(Api(cluster(**{"submariners.submariner.io": named, "secrets": [secret]}))).psk_digest
    other = read(Api(cluster(**{"submariners.submariner.io": [installation(ceIPSecPSK="b3RoZXI=")]}))).psk_digest
    assert spec_key == by_secret != other
    assert read(Api(cluster(**{"submariners.submariner.io": [installation(ceIPSecPSK="")]}))).psk_digest == ""


def raising(error: Exception) -> Callable[..., Any]:
    def answer(*_: object) -> None:
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (AccessDenied("https://broker answers 401"), BrokerProblem.CREDENTIALS),
        (Untrusted("certificate verify failed: certificate has expired"), BrokerProblem.CERTIFICATE),
        (NodeUnreachable("no answer within 2 s"), BrokerProblem.UNREACHABLE),
        (ApiError("500", 500), BrokerProblem.UNREACHABLE),
    ],
)
def test_why_the_broker_is_not_known(monkeypatch: pytest.MonkeyPatch, error: Exception, problem: BrokerProblem) -> None:
    monkeypatch.setattr("pytest_submariner.kube.account.Account.list", raising(error))
    found = read(Api(cluster()))
    assert (found.broker, found.broker_problem) == (None, problem)
    assert str(error) in found.broker_error


def test_an_expired_token_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": 1_600_000_000}).encode()).decode().rstrip("=")
    monkeypatch.setattr("pytest_submariner.kube.account.Account.list", raising(AccessDenied("401")))
    spec = installation(brokerK8sApiServerToken=f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln")
    found = read(Api(cluster(**{"submariners.submariner.io": [spec]})))
    assert found.broker_error == "401; the token expired on 2020-09-13 12:26 UTC"


def test_credentials_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Account] = []

    def answer(self: Account, resource: str, namespace: str) -> tuple[Object, ...]:
        used.append(self)
        return ()

    monkeypatch.setattr("pytest_submariner.kube.account.Account.list", answer)
    data = {"token": base64.b64encode(b"fresh").decode(), "ca.crt": base64.b64encode(b"authority").decode()}
    held = {"metadata": meta("broker-secret", OPERATOR), "data": data}
    named = [installation(brokerK8sSecret="broker-secret")]
    read(Api(cluster(**{"submariners.submariner.io": named, "secrets": [held]})))
    assert {(a.server, a.token, a.ca_pem) for a in used} == {("https://broker:6443", "fresh", b"authority")}


def test_a_cluster_joined_without_the_operator() -> None:
    found = read(Api(cluster(**{"submariners.submariner.io": []})))
    assert found.broker_problem is BrokerProblem.UNKNOWN


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Bearer {PLANTED}",
        f'using token "{PLANTED}"',
        f"psk={PSK}",
        f'%any %any : PSK "{PSK}"',
        f"preshared key: {PSK}",
        f"-----BEGIN PRIVATE KEY-----{PSK}-----END PRIVATE KEY-----",
        f"config {{password: {PSK}}}",
    ],
)
def test_lines_lose_their_secrets(line: str) -> None:
    redacted = redact(line)
    assert REDACTED in redacted
    assert PLANTED not in redacted
    assert PSK not in redacted


@pytest.mark.parametrize(
    "line",
    [
        'NAT discovery for endpoint "submariner-cable-c2-172-18-2-1" has timed out',
        "F1122 main.go:87] Unable to resolve public IP by any of the resolver methods",
        'ERR ..gine.go:91 Error installing cable submariner-cable-c2-10-0-0-7 error="no such device"',
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert redact(line) == line
    assert trouble(line) == (line,)


def test_troubles_are_few_and_told_once() -> None:
    quiet = "\n".join(f"I1122 10:00:{n:02} handled Endpoint {n}" for n in range(50))
    assert trouble(quiet) == ()
    same = "\n".join(f"E1122 10:00:{n:02} failed to renew lease after {n} s" for n in range(50))
    assert trouble(same) == ("E1122 10:00:49 failed to renew lease after 49 s",)
    [long] = trouble(f"ERR installing cable {'x' * 5000} no such device")
    assert len(long) < 500
    assert long.startswith("ERR installing cable")
    assert long.endswith("no such device")
    many = "\n".join(f"E1122 error of kind {chr(65 + n % 26)}{chr(65 + n // 26)}" for n in range(60))
    assert len(trouble(many)) == MOST_LINES


def test_what_nobody_reads_is_left_out() -> None:
    node = {"metadata": {"name": "n", "managedFields": [1]}, "status": {"images": ["x"] * 99, "addresses": []}}
    assert lean(node) == {"metadata": {"name": "n"}, "status": {"addresses": []}}
