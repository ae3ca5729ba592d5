"""The server's parts on their own: selectors, merges, names, ages, printer columns, addresses."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_submariner.lab.api.addresses import ServiceAddresses
from pytest_submariner.lab.api.builtin import builtin_kinds, custom
from pytest_submariner.lab.api.humane import duration, selector
from pytest_submariner.lab.api.kinds import Kind, KindRegistry, PrinterColumn
from pytest_submariner.lab.api.names import generate
from pytest_submariner.lab.api.negotiation import Shape, accepted_shape, discovery_version
from pytest_submariner.lab.api.patch import merge
from pytest_submariner.lab.api.paths import resolve
from pytest_submariner.lab.api.schema import kind_type
from pytest_submariner.lab.api.selectors import matcher, parse_labels
from pytest_submariner.lab.api.status import PageNotFound, StatusError
from pytest_submariner.lab.api.store import Stored
from pytest_submariner.lab.api.strategic import strategic_merge
from pytest_submariner.lab.api.table import table

KINDS = KindRegistry.of(builtin_kinds())
PODS = KINDS.require("", "v1", "pods")


LABELS: dict[str, dict[str, str]] = {"one": {"a": "1"}, "two": {"a": "2"}, "both": {"a": "2", "b": "2"}, "none": {}}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("a", "one two both"),
        ("!a", "none"),
        ("a=1", "one"),
        ("a==2,b=2", "both"),
        ("a!=1", "two both none"),
        ("a in (1, 3)", "one"),
        ("a notin (1)", "two both none"),
        ("a in (2,),b", "both"),
        ("a>1", "two both"),
        ("a<2", "one"),
        ("a=", ""),
        ("in=1", ""),
        ("notin", ""),
        ("example.com/key in (v)", ""),
    ],
)
def test_label_selectors(text: str, chosen: str) -> None:
    match = matcher(PODS, text, "")
    assert match is not None
    assert [name for name, labels in LABELS.items() if match({"metadata": {"labels": labels}})] == chosen.split()


@pytest.mark.parametrize("text", ["a b", "a in 1", "a in (1", "=1", "a=1,,b", "!", "a>x", "a,", "(a)"])
def test_bad_label_selectors(text: str) -> None:
    with pytest.raises(StatusError, match="unable to parse requirement"):
        parse_labels(text)


def test_field_selectors() -> None:
    match = matcher(PODS, "", "spec.nodeName!=n1,status.phase=Running")
    assert match is not None
    assert match({"metadata": {}, "spec": {}, "status": {"phase": "Running"}})
    assert not match({"metadata": {}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}})
    with pytest.raises(StatusError, match="can't understand 'x'"):
        matcher(PODS, "", "x")


def test_merge_patch() -> None:
    target = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert merge(target, {"a": {"b": None, "c": [2], "e": {"f": None}}}) == {"a": {"c": [2], "e": {}}, "d": 2}
    assert target == {"a": {"b": 1, "c": [1]}, "d": 2}, "the original stays"


@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        pytest.param(
            {"finalizers": ["a"]}, {"finalizers": ["b", "a"]}, {"finalizers": ["b", "a"]}, id="primitives are added"
        ),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"$deleteFromPrimitiveList/finalizers": ["a"]},
            {"finalizers": ["b"]},
            id="primitives are deleted",
        ),
        pytest.param(
            {"labels": {"a": "1", "b": "2"}},
            {"labels": {"$patch": "replace", "c": "3"}},
            {"labels": {"c": "3"}},
            id="a map is replaced",
        ),
        pytest.param({"labels": {"a": "1"}}, {"labels": None}, {}, id="null removes"),
        pytest.param(
            {"ownerReferences": [{"uid": "1", "name": "a"}, {"uid": "2", "name": "b"}]},
            {
                "ownerReferences": [{"uid": "3", "name": "c"}],
                "$setElementOrder/ownerReferences": [{"uid": "2"}, {"uid": "3"}, {"uid": "1"}],
            },
            {"ownerReferences": [{"uid": "2", "name": "b"}, {"uid": "3", "name": "c"}, {"uid": "1", "name": "a"}]},
            id="elements come in the order asked for",
        ),
        pytest.param(
            {"ownerReferences": [{"uid": "1"}]},
            {"ownerReferences": [{"$patch": "replace"}, {"uid": "2"}]},
            {"ownerReferences": [{"uid": "2"}]},
            id="a list is replaced",
        ),
    ],
)
def test_strategic_merge(old: dict[str, Any], patch: dict[str, Any], new: dict[str, Any]) -> None:
    assert strategic_merge({"metadata": old}, {"metadata": patch}, kind_type("v1", "ConfigMap")) == {"metadata": new}


def test_strategic_merge_retains_keys() -> None:
    deployment = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic_merge(deployment, patch, kind_type("apps/v1", "Deployment")) == {
        "spec": {"strategy": {"type": "Recreate"}}
    }


def test_strategic_merge_needs_the_key() -> None:
    patch = {"metadata": {"ownerReferences": [{"name": "x"}]}}
    with pytest.raises(StatusError, match="does not contain declared merge key: uid"):
        strategic_merge({}, patch, kind_type("v1", "ConfigMap"))


def test_generated_names_fit() -> None:
    name = generate("x" * 100)
    assert len(name) == 63
    assert name.startswith("x" * 58)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (312, "5m12s"),
        (600, "10m"),
        (11_040, "3h4m"),
        (108_000, "30h"),
        (273_600, "3d4h"),
        (26_000_000, "300d"),
        (63_504_000, "2y5d"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_selectors_on_one_line() -> None:
    found = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "c", "operator": "NotIn", "values": ["x", "y"]},
            {"key": "d", "operator": "Exists"},
        ],
    }
    assert selector(found) == "a=1,b=2,c notin (x,y),d"
    assert selector(None) == "<none>"


@pytest.mark.parametrize(
    ("path", "cell"),
    [
        (".spec.a", "x"),
        (".spec.none", None),
        (".spec.list[1]", "two"),
        (".spec.list[*]", "one"),
        (".metadata.labels['my.key/x']", "v"),
        ('.status.conditions[?(@.type=="Ready")].status', "True"),
        (".spec", '{"a":"x","list":["one","two"]}'),
    ],
)
def test_printer_columns(path: str, cell: str | None) -> None:
    kind = custom("example.com", "v1", "Thing", "things", columns=(PrinterColumn("X", path),))
    obj = {
        "metadata": {"name": "t", "labels": {"my.key/x": "v"}},
        "spec": {"a": "x", "list": ["one", "two"]},
        "status": {"conditions": [{"type": "Old", "status": "False"}, {"type": "Ready", "status": "True"}]},
    }
    (row,) = table(kind, [Stored(obj, 1)], {}, "None")["rows"]
    assert row == {"cells": ["t", cell]}


def ended(**state: Any) -> dict[str, Any]:
    return {"state": {"terminated": state}}


def pod_row(status: dict[str, Any], **meta: Any) -> list[Any]:
    pod = {
        "metadata": {"name": "p", **meta},
        "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]},
        "status": status,
    }
    cells: list[Any] = table(PODS, [Stored(pod, 1)], {}, "None")["rows"][0]["cells"]
    return cells[1:4]


@pytest.mark.parametrize(
    ("phase", "key", "container", "row"),
    [
        ("Pending", "containerStatuses", {}, ["0/1", "Pending", "0"]),
        (
            "Running",
            "containerStatuses",
            {"ready": True, "restartCount": 2, "state": {"running": {}}},
            ["1/1", "Running", "2"],
        ),
        ("Succeeded", "containerStatuses", ended(exitCode=0, reason="Completed"), ["0/1", "Completed", "0"]),
        ("Failed", "containerStatuses", ended(exitCode=3), ["0/1", "ExitCode:3", "0"]),
        ("Failed", "containerStatuses", ended(exitCode=137, signal=9), ["0/1", "Signal:9", "0"]),
        (
            "Pending",
            "containerStatuses",
            {"state": {"waiting": {"reason": "ErrImagePull"}}},
            ["0/1", "ErrImagePull", "0"],
        ),
        ("Pending", "initContainerStatuses", {"state": {"running": {}}}, ["0/1", "Init:0/1", "0"]),
        ("Pending", "initContainerStatuses", ended(exitCode=1, reason="Error"), ["0/1", "Init:Error", "0"]),
        ("Pending", "initContainerStatuses", ended(exitCode=0), ["0/1", "Pending", "0"]),
    ],
)
def test_pod_rows(phase: str, key: str, container: dict[str, Any], row: list[Any]) -> None:
    status = {"phase": phase, key: [container]}
    assert pod_row(status) == row
    assert pod_row(status, deletionTimestamp="2026-01-01T00:00:00Z")[1] == "Terminating"


def test_service_addresses_run_out_and_come_back() -> None:
    kind = KINDS.require("", "v1", "services")
    addresses = ServiceAddresses("10.0.0.0/28")
    made: list[dict[str, Any]] = []
    for i in range(14):
        made.append({"metadata": {"name": f"s{i}"}, "spec": {"type": "ClusterIP"}})
        addresses.allocate(kind, made[-1])
    assert sorted({m["spec"]["clusterIP"] for m in made}) == sorted(f"10.0.0.{i}" for i in range(1, 15))
    with pytest.raises(StatusError, match="range is full"):
        addresses.allocate(kind, {"metadata": {"name": "x"}, "spec": {"type": "ClusterIP"}})
    addresses.release(made[3])
    again: dict[str, Any] = {"metadata": {"name": "y"}, "spec": {"type": "ClusterIP"}}
    addresses.allocate(kind, again)
    assert again["spec"]["clusterIPs"] == made[3]["spec"]["clusterIPs"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/namespaces/ns", ("namespaces", None, "ns", "")),
        ("/api/v1/namespaces/ns/finalize", ("namespaces", None, "ns", "finalize")),
        ("/api/v1/namespaces/ns/pods", ("pods", "ns", "", "")),
        ("/api/v1/namespaces/ns/pods/p/exec", ("pods", "ns", "p", "exec")),
        ("/api/v1/pods", ("pods", None, "", "")),
        ("/apis/submariner.io/v1/clusterglobalegressips/x/status", ("clusterglobalegressips", None, "x", "status")),
    ],
)
def test_paths(path: str, found: tuple[str, str | None, str, str]) -> None:
    target = resolve(KINDS, path)
    assert (target.kind.plural, target.namespace, target.name, target.subresource) == found


def test_paths_that_lead_nowhere() -> None:
    for path in ("/apis/no.group/v1/x", "/api/v2/pods", "/other", "/api"):
        with pytest.raises(PageNotFound):
            resolve(KINDS, path)
    for path in ("/api/v1/pods/p", "/api/v1/namespaces/ns/nodes", "/api/v1/namespaces/ns/pods/p/none"):
        with pytest.raises(StatusError, match="could not find the requested resource"):
            resolve(KINDS, path)


def test_accept_headers() -> None:
    kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
    assert accepted_shape(kubectl) is Shape.TABLE
    assert accepted_shape("application/vnd.kubernetes.protobuf, */*") is Shape.OBJECT
    assert accepted_shape("application/json;as=Unknown,application/json") is Shape.OBJECT
    with pytest.raises(StatusError, match="media types"):
        accepted_shape("application/vnd.kubernetes.protobuf")
    assert (
        discovery_version("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json")
        == "v2beta1"
    )
    assert discovery_version("application/json") is None


def test_versions_are_served_stable_first() -> None:
    kinds = KindRegistry.of(
        Kind(group="g", version=v, kind="K", plural="ks") for v in ("v1alpha1", "v1", "v2beta1", "v2")
    )
    assert kinds.group_versions() == {"g": ["v2", "v1", "v2beta1", "v1alpha1"]}


def test_a_built_in_kind_outlives_its_definition() -> None:
    kinds = KindRegistry.of([custom("g", "v1", "K", "ks")])
    applied = custom("g", "v1", "K", "ks", short_names=("k",))
    kinds.add(applied)
    assert kinds.require("g", "v1", "ks").short_names == ("k",)
    kinds.remove(applied)
    assert kinds.require("g", "v1", "ks").short_names == ()
