"""Whose packets are whose: flows that share nodes, addresses or ports, told apart behind every translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from captures import PORT, Road, flow_of, reply, request
from observations import healthy

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.tracing.conversation import Conversation, conversations, listener_ports
from pytest_submariner.diagnose.tracing.ladder import ladder
from pytest_submariner.diagnose.tracing.trace import Way
from pytest_submariner.nodestate.packets import Packet

SEEN = healthy()


def flow(path: str) -> Flow:
    """With the command that repeats it, which names the listener's port."""
    found = flow_of(SEEN, path)
    return replace(found, result=replace(found.result, command=f"exec … ask tcp {found.target_ip} {PORT}"))


def told(flows: Sequence[Flow], packets: dict[str, list[Packet]]) -> dict[str, Conversation]:
    nodes = {node.name: node.cluster for cluster in SEEN.clusters for node in cluster.nodes}
    return conversations(flows, {(nodes[name], name): found for name, found in packets.items()}, SEEN.topology)


def at(packet: Packet, device: str, direction: str, **changes: str | int) -> Packet:
    return replace(packet, device=device, direction=direction, **changes)  # type: ignore[arg-type]


def test_a_pod_and_its_host_behind_the_same_source() -> None:
    """A masquerade gives the pod's packets the host's address."""
    pod, host = flow("pod.ngw.c1--pod.ngw.c2--tcp"), flow("hostpod.ngw.c1--pod.ngw.c2--tcp")
    of_pod, of_host = request(pod, port=41000), request(host, port=42000)
    leaving = [
        at(of_pod, "veth1", "in"),
        at(of_pod, "vx-submariner", "out", source="240.18.1.2"),
        at(of_host, "vx-submariner", "out", source="240.18.1.2"),
    ]
    known = told([host, pod], {"c1-w1": leaving})
    assert [known[pod.id].way_of(p) for p in leaving] == [Way.REQUEST, Way.REQUEST, None]
    assert [known[host.id].way_of(p) for p in leaving] == [None, None, Way.REQUEST]


def test_what_a_gateway_forwards_is_not_its_own() -> None:
    """Hosts of two nodes ask the same pod; both pass the gateway."""
    worker, gateway = flow("hostpod.ngw.c1--pod.gw.c2--udp"), flow("hostpod.gw.c1--pod.gw.c2--udp")
    forwarded = at(request(worker), "vx-submariner", "in", source="10.8.2.1")
    passing = [forwarded, replace(forwarded, device="vxlan-tunnel", direction="out")]
    own = at(request(gateway, port=42000), "vxlan-tunnel", "out", source="10.8.1.1")
    known = told([gateway, worker], {"c1-gw": [*passing, own], "c1-w1": []})
    assert [known[gateway.id].way_of(p) for p in (*passing, own)] == [None, None, Way.REQUEST]


def test_a_service_and_its_pod_look_alike_behind_the_translation() -> None:
    service, pod = flow("pod.ngw.c1--svc.gw.c1--tcp"), flow("pod.ngw.c1--pod.gw.c1--tcp")
    asked, translated = request(service, port=43000), replace(request(service, port=43000), destination=pod.target_ip)
    direct = request(pod, port=44000)
    packets = {
        "c1-w1": [
            at(p, device, way)
            for p, device, way in ((asked, "veth1", "in"), (direct, "veth1", "in"), (translated, "eth0", "out"))
        ]
    }
    known = told([pod, service], packets)
    assert known[service.id].client_ports == {43000}
    assert known[pod.id].client_ports == {44000}
    assert known[service.id].servers == {service.target_ip, pod.target_ip}


def test_a_hosts_request_to_a_service_never_shows_the_services_address() -> None:
    host = flow("hostpod.gw.c1--svc.ngw.c1--tcp")
    sent = at(request(host), "eth0", "out", source="172.18.1.1", destination="10.8.2.11")
    foreign = at(request(host, sequence=9), "eth0", "out", source="172.18.1.1", destination="8.8.8.8")
    known = told([host], {"c1-gw": [sent, foreign]})
    assert [known[host.id].way_of(p) for p in (sent, foreign)] == [Way.REQUEST, None]


def test_both_ends_changed_at_once_by_the_remote_gateway() -> None:
    """The reverse of a Service's way: DNAT to its pod and masquerade of a source it does not trust, in one go."""
    service = flow("hostpod.ngw.c1--svc.ngw.c2--tcp")
    first = at(request(service), "vx-submariner", "out", source="240.18.1.2")
    later = at(request(service), "eth0", "out", source="172.18.2.1", destination="10.9.2.11", source_port=55555)
    answer = at(reply(service), "veth1", "in", source="10.9.2.11", destination="172.18.2.1", destination_port=55555)
    known = told([service], {"c1-w1": [first], "c2-gw": [later], "c2-w1": [answer]})
    assert [known[service.id].way_of(p) for p in (first, later, answer)] == [Way.REQUEST, Way.REQUEST, Way.REPLY]


def test_datagrams_of_the_shell_prober_are_all_alike() -> None:
    one, other = flow("pod.ngw.c1--pod.ngw.c2--udp"), flow("pod.gw.c1--pod.gw.c2--udp")
    same = b"x" * 40
    packets = [at(replace(request(f), payload=same), "veth1", "in") for f in (one, other)]
    known = told([one, other], {"c1-w1": packets[:1], "c1-gw": packets[1:]})
    assert [known[one.id].way_of(p) for p in packets] == [Way.REQUEST, None]


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_other_traffic_between_the_same_ends_is_nobodys(protocol: str) -> None:
    pod = flow(f"pod.ngw.c1--pod.ngw.c2--{protocol}")
    stray = replace(request(pod, sequence=99, port=47000, length=120), source="10.8.2.200")
    known = told([pod], {"c1-w1": [at(request(pod), "veth1", "in"), at(stray, "veth1", "in")]})
    assert known[pod.id].way_of(stray) is None


def test_a_hosts_requests_are_found_elsewhere_when_its_node_was_not_watched() -> None:
    host = flow("hostpod.ngw.c1--pod.ngw.c2--icmp")
    passing = at(request(host), "vx-submariner", "in", source="10.8.2.1")
    assert told([host], {"c1-gw": [passing]})[host.id].way_of(passing) is Way.REQUEST


def test_later_packets_of_a_connection() -> None:
    pod = flow("pod.ngw.c1--pod.ngw.c2--tcp")
    way = Road(pod, ladder(pod, SEEN.topology, SEEN.sights), SEEN)
    way.send(request(pod))
    conversation = way.conversation()
    assert conversation.way_of(request(pod, length=1450)) is Way.REQUEST
    assert conversation.way_of(reply(pod, length=1450)) is Way.REPLY
    assert conversation.way_of(request(pod, length=1450, port=41001)) is None


def test_the_listeners_port_is_what_the_command_names() -> None:
    assert listener_ports(flow("pod.ngw.c1--pod.ngw.c2--tcp")) == {PORT}
    assert listener_ports(flow_of(SEEN, "pod.ngw.c1--pod.ngw.c2--icmp")) == frozenset()
