"""From Services and EndpointSlices to the text kube-proxy would program."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_submariner.lab.controllers.proxyrules import ruleset
from pytest_submariner.lab.controllers.serviceports import ServicePort, service_ports

Object = dict[str, Any]


def port(name: str, protocol: str = "tcp", *endpoints: str, **more: Any) -> ServicePort:
    fields: Object = {"node_port": 0, "external_ips": (), **more}
    return ServicePort(name, protocol, "100.8.0.10", 80, endpoints=endpoints, **fields)


@pytest.mark.parametrize(
    ("name", "protocol", "chain"),
    [  # as any cluster's iptables-save shows them
        ("default/kubernetes:https", "tcp", "KUBE-SVC-NPX46M4PTMTKRN6Y"),
        ("kube-system/kube-dns:dns", "udp", "KUBE-SVC-TCOU7JCQXEZGVUNU"),
        ("kube-system/kube-dns:dns-tcp", "tcp", "KUBE-SVC-ERIFXISQEP7F7OF4"),
    ],
)
def test_chains_have_the_genuine_names(name: str, protocol: str, chain: str) -> None:
    assert port(name, protocol).service_chain == chain


def test_an_endpoint_is_chosen_evenly_and_off_cluster_sources_are_marked() -> None:
    web = port("ns/web:http", "tcp", "10.8.1.9:8080", "10.8.2.9:8080", "10.8.2.10:8080")
    lines = ruleset([web], "10.8.0.0/16").restore_text(jumps=True, stale=()).splitlines()
    chain, (first, second, third) = web.service_chain, map(web.endpoint_chain, web.endpoints)
    assert (
        f'-A KUBE-SERVICES -d 100.8.0.10/32 -p tcp -m comment --comment "ns/web:http cluster IP" -m tcp --dport 80 -j {chain}'
    ) in lines
    own = [line for line in lines if line.startswith(f"-A {chain} ")]
    assert own[0] == (
        f"-A {chain} ! -s 10.8.0.0/16 -d 100.8.0.10/32 -p tcp"
        ' -m comment --comment "ns/web:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ'
    )
    assert [line.split("-m statistic ")[-1] for line in own[1:]] == [
        f"--mode random --probability 0.3333333333 -j {first}",
        f"--mode random --probability 0.5000000000 -j {second}",
        f'-A {chain} -m comment --comment "ns/web:http -> 10.8.2.10:8080" -j {third}',
    ]
    assert [line for line in lines if line.startswith(f"-A {first} ")] == [
        f'-A {first} -s 10.8.1.9/32 -m comment --comment "ns/web:http" -j KUBE-MARK-MASQ',
        f'-A {first} -p tcp -m comment --comment "ns/web:http" -m tcp -j DNAT --to-destination 10.8.1.9:8080',
    ]


def test_every_chain_that_is_used_is_declared() -> None:
    ports = [
        port("ns/a", "tcp", "10.8.1.9:1"),
        port("ns/b", "udp", "10.8.1.9:2", node_port=30000, external_ips=("1.2.3.4",)),
    ]
    text = ruleset([*ports, port("ns/c")], "10.8.0.0/16").restore_text(jumps=True, stale=())
    builtin = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
    for table in text.split("COMMIT\n")[:-1]:
        lines = table.splitlines()
        declared = {line[1:].split()[0] for line in lines if line.startswith(":")}
        rules = [line.split() for line in lines if line.startswith("-A")]
        targets = {words[words.index("-j") + 1] for words in rules}
        assert {words[1] for words in rules} <= declared | builtin
        assert {target for target in targets if target.startswith("KUBE-")} <= declared


def test_a_service_without_endpoints_is_refused_and_has_no_chains() -> None:
    rules = ruleset([port("ns/web", external_ips=("1.2.3.4",))], "10.8.0.0/16")
    assert [line for line in rules.filter if "REJECT" in line] == [
        f'-A KUBE-SERVICES -d {ip}/32 -p tcp -m comment --comment "ns/web has no endpoints" -m tcp --dport 80 -j REJECT'
        for ip in ("100.8.0.10", "1.2.3.4")
    ]
    assert rules.nat_chains == frozenset()


def test_chains_of_a_service_that_went_are_removed_after_the_last_reference() -> None:
    before = ruleset([port("ns/web", "tcp", "10.8.1.9:80")], "10.8.0.0/16")
    text = ruleset([], "10.8.0.0/16").restore_text(jumps=False, stale=before.nat_chains)
    for chain in before.nat_chains:
        assert f":{chain} - [0:0]\n" in text
        assert text.index(f"-X {chain}\n") > text.rindex("-A ")
    assert "-A POSTROUTING" not in text


def slice_of(ready: bool | None, ip: str, name: str = "http", **conditions: bool) -> Object:
    if ready is not None:
        conditions["ready"] = ready
    return {
        "metadata": {"namespace": "ns", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": name, "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "conditions": conditions}],
    }


def web(**spec: Any) -> Object:
    spec = {"clusterIP": "100.8.0.10", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], **spec}
    return {"metadata": {"namespace": "ns", "name": "web"}, "spec": spec}


def test_ready_endpoints_serve_and_draining_ones_when_there_are_no_others() -> None:
    draining = slice_of(False, "10.8.1.8", serving=True, terminating=True)
    slices = [slice_of(True, "10.8.1.9"), slice_of(None, "10.8.1.10"), slice_of(False, "10.8.1.11"), draining]
    (found,) = service_ports([web()], slices)
    assert found.endpoints == ("10.8.1.10:8080", "10.8.1.9:8080")
    assert found.name == "ns/web:http"
    (found,) = service_ports([web()], [draining, slice_of(True, "10.8.1.9", name="other")])
    assert found.endpoints == ("10.8.1.8:8080",)


def test_headless_services_and_names_of_other_hosts_are_not_proxied() -> None:
    assert service_ports([web(clusterIP="None"), web(type="ExternalName", clusterIP="")], []) == []
