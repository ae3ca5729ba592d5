"""Pod and service CIDRs of a lab: laid out, or refused in one line."""

from __future__ import annotations

import pytest

from pytest_submariner.errors import LabError
from pytest_submariner.lab.spec import LabSpec


def test_the_ranges_given_are_those_of_the_first_clusters() -> None:
    spec = LabSpec.make(
        "some", clusters=3, pod_cidrs=["10.44.0.0/18", "192.168.128.0/17"], service_cidrs=["10.96.0.0/12"]
    )
    assert [c.pod_cidr for c in spec.clusters] == ["10.44.0.0/18", "192.168.128.0/17", "10.10.0.0/16"]
    assert [c.service_cidr for c in spec.clusters] == ["10.96.0.0/12", "100.9.0.0/16", "100.10.0.0/16"]
    gateway, worker = spec.clusters[1].nodes
    assert (gateway.pod_cidr, gateway.cni_ip) == ("192.168.129.0/24", "192.168.129.1")
    assert (worker.pod_cidr, worker.cni_ip) == ("192.168.130.0/24", "192.168.130.1")


@pytest.mark.parametrize(
    ("pods", "services", "complaint"),
    [
        (["10.8.0.0/33"], [], "--pod-cidr 10.8.0.0/33: '33' is not a valid netmask; write an IPv4 network like 10.8.0.0/16"),
        (["10.8.1.0/16"], [], "--pod-cidr 10.8.1.0/16: 10.8.1.0/16 has host bits set; write an IPv4 network like 10.8.0.0/16"),
        (["fd00::/64"], [], "--pod-cidr fd00::/64: Expected 4 octets in 'fd00::'; write an IPv4 network like 10.8.0.0/16"),
        (["10.0.0.0/8"], [], "--pod-cidr 10.0.0.0/8: allowed are prefix lengths /12 to /23"),
        ([], ["10.96.0.0/26"], "--service-cidr 10.96.0.0/26: allowed are prefix lengths /12 to /24"),
        (["10.0.0.0/23"], [], "--pod-cidr 10.0.0.0/23 has room for 1 nodes with a /24 each, and c1 has 2"),
        (
            ["10.9.0.0/16"],
            [],
            "--pod-cidr 10.9.0.0/16 (the default for the pods of c2) overlaps 10.9.0.0/16, which is for the pods of c1",
        ),
        ([], ["10.8.4.0/24"], "--service-cidr 10.8.4.0/24 overlaps 10.8.0.0/16, which is for the pods of c1"),
        ([], ["172.18.9.0/24"], "--service-cidr 172.18.9.0/24 overlaps 172.18.0.0/16, which is for the lab's underlay"),
        (["240.0.0.0/12"], [], "--pod-cidr 240.0.0.0/12 overlaps 224.0.0.0/3, which is for multicast, and Submariner's own"),
        ([], ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"], "--service-cidr 10.3.0.0/16: one per cluster, and there are 2"),
    ],
)  # fmt: skip
def test_a_range_that_cannot_serve_is_named(pods: list[str], services: list[str], complaint: str) -> None:
    with pytest.raises(LabError) as refused:
        LabSpec.make("some", pod_cidrs=pods, service_cidrs=services)
    assert str(refused.value).startswith(complaint)
