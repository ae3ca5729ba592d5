"""Requests with wrong shapes in every place: refused in words, never with a 500, and what is stored can still be shown."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from api_servers import Server

GARBAGE: list[Any] = [
    None,
    5,
    -1,
    1.5,
    True,
    "",
    "x",
    [],
    [1],
    [{}],
    [None],
    {},
    {"a": None},
    {"name": 5},
    {"x": {"y": [1]}},
]
DIRECTIVES = [
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "metadata",
    "spec",
    "status",
]
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
}
OBJECTS: dict[str, dict[str, Any]] = {
    "/api/v1/namespaces/default/configmaps": {"data": {"a": "b"}, "binaryData": {"a": "AA=="}},
    "/api/v1/namespaces/default/pods": {"spec": {"nodeName": "n", **TEMPLATE["spec"], "volumes": [{"name": "v"}]}},
    "/api/v1/namespaces/default/services": {
        "spec": {"type": "NodePort", "ports": [{"port": 80}], "selector": {"a": "b"}}
    },
    "/api/v1/nodes": {
        "status": {"addresses": [{"type": "InternalIP", "address": "1.1.1.1"}], "conditions": [{"type": "Ready"}]}
    },
    "/api/v1/namespaces/default/events": {"involvedObject": {"kind": "Pod"}, "source": {"component": "x"}},
    "/apis/apps/v1/namespaces/default/deployments": {
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    },
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["1.1.1.1"]}],
    },
    "/apis/submariner.io/v1/namespaces/default/gateways": {"status": {"haStatus": "active"}},
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": {
        "spec": {
            "group": "garbage.example",
            "scope": "Namespaced",
            "names": {"kind": "G", "plural": "gs", "shortNames": ["g"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [{"name": "A", "jsonPath": ".a"}],
                }
            ],
        }
    },
}
VERBS = [
    ("POST", "", "application/json"),
    ("PUT", "/garbage", "application/json"),
    ("PUT", "/garbage/status", "application/json"),
    ("PUT", "/garbage/scale", "application/json"),
    ("PATCH", "/garbage", "application/merge-patch+json"),
    ("PATCH", "/garbage", "application/strategic-merge-patch+json"),
    ("PATCH", "/garbage?fieldManager=a&force=true", "application/apply-patch+yaml"),
    ("PATCH", "/garbage/scale", "application/merge-patch+json"),
    ("POST", "/garbage/binding", "application/json"),
    ("POST", "/garbage/eviction", "application/json"),
    ("DELETE", "/garbage", "application/json"),
]


def spoiled(chance: random.Random, value: Any) -> Any:
    """The value with things missing, replaced or added here and there."""
    if chance.random() < 0.1:
        return chance.choice(GARBAGE)
    if isinstance(value, list):
        return [spoiled(chance, v) for v in value]
    if not isinstance(value, dict):
        return value
    made = {k: spoiled(chance, v) for k, v in value.items() if chance.random() > 0.05}
    return made | ({chance.choice(DIRECTIVES): chance.choice(GARBAGE)} if chance.random() < 0.1 else {})


@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: p.rpartition("/")[2])
def test_garbage_is_refused_in_words(embedded: Server, path: str) -> None:
    chance = random.Random(path)
    sound = {"metadata": {"name": "garbage", "labels": {"a": "b"}, "finalizers": ["a.b/c"]}, **OBJECTS[path]}
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    for _ in range(25):
        method, rest, media_type = chance.choice(VERBS)
        options = {"gracePeriodSeconds": 1, "preconditions": {"uid": "x"}, "dryRun": []}
        body = spoiled(chance, options if method == "DELETE" else sound)
        code, answer = embedded.ask(method, path + rest, body, media_type=media_type)
        told = f"{method} {path}{rest} {json.dumps(body)}\n{answer}"
        assert code < 500, told
        assert code < 400 or answer["message"], told
        assert embedded.ask("GET", path, accept=table)[0] == 200, told
