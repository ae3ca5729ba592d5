"""From captured packets to the lost hop: where packets were seen last, what stands for them, what came off the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from captures import CABLE, NODE_MAC, PORT, Road, arp, flow_of, refusal, reply, request
from observations import healthy

from pytest_submariner.diagnose.tracing import tracenotes
from pytest_submariner.diagnose.tracing.ladder import ladder
from pytest_submariner.diagnose.tracing.sightings import COUNTERS, Look, astray, sightings
from pytest_submariner.diagnose.tracing.trace import Sighting, Trace, Way
from pytest_submariner.model.nodestate import LinkStats
from pytest_submariner.nodestate.packets import Packet

SEEN = healthy()
FAR = "pod.ngw.c1--pod.ngw.c2"


def road(path: str = f"{FAR}--tcp") -> Road:
    flow = flow_of(SEEN, path)
    return Road(flow, ladder(flow, SEEN.topology, SEEN.sights), SEEN)


def numbers(found: tuple[Sighting, ...], way: Way = Way.REQUEST) -> list[int]:
    return [s.rung.number for s in found if s.rung.way is way and s.seen]


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_a_whole_round_is_seen_at_every_rung(protocol: str) -> None:
    way = road(f"{FAR}--{protocol}")
    way.send(request(way.flow))
    way.send(reply(way.flow), Way.REPLY)
    trace = way.trace()
    assert numbers(trace.sightings) == numbers(trace.sightings, Way.REPLY) == list(range(1, 13))
    assert (trace.first_lost, trace.last_seen) == (None, way.rungs[-1])


@pytest.mark.parametrize("last", range(1, 12))
def test_the_lost_hop(last: int) -> None:
    way = road()
    way.send(request(way.flow), to=last)
    trace = way.trace()
    assert trace.lost_between(Way.REQUEST, last, last + 1)
    assert str(trace) == f"{way.flow.id}: seen up to {way.at(Way.REQUEST, last)}, not seen at {trace.first_lost}"


def test_a_lost_reply() -> None:
    way = road()
    way.send(request(way.flow))
    way.send(reply(way.flow), Way.REPLY, to=10)
    assert way.trace().lost_between(Way.REPLY, 10, 11)


def test_nothing_at_all_was_seen() -> None:
    trace = road().trace()
    assert (trace.last_seen, trace.first_lost) == (None, trace.sightings[0].rung)
    assert ": not seen at request 1 (c1-w1: any device in)" in str(trace)


def test_addresses_inside_and_outside_of_tunnels() -> None:
    way = road()
    way.send(request(way.flow))
    third = way.trace().at(Way.REQUEST, 3)
    assert third is not None
    assert (third.sources, third.destinations) == ((way.flow.source_ip,), (way.flow.target_ip,))
    assert (third.outer_sources, third.outer_destinations) == (("172.18.0.1",), ("172.18.0.2",))
    assert (third.vnis, third.ports, third.largest) == ((100,), (4800,), 60)
    assert str(third) == (
        f"request 3 (c1-w1: eth0 out): 1 packet {way.flow.source_ip} > {way.flow.target_ip} in 172.18.0.1 > 172.18.0.2"
    )


def test_a_foreign_vni_still_counts_and_is_told() -> None:
    way = road()
    way.put(way.at(Way.REQUEST, 1), request(way.flow))
    way.put(way.at(Way.REQUEST, 4), request(way.flow), vni=101)
    fourth = way.trace().at(Way.REQUEST, 4)
    assert fourth is not None
    assert (fourth.packets, fourth.vnis) == (1, (101,))


def test_a_frame_for_somebody_elses_mac_is_told() -> None:
    way = road()
    way.send(request(way.flow), to=4)
    way.put(way.at(Way.REQUEST, 5), request(way.flow), for_other=True)
    fifth = way.trace().at(Way.REQUEST, 5)
    assert fifth is not None
    assert (fifth.packets, fifth.for_other) == (1, 1)


def test_a_rewritten_source_is_followed_and_named() -> None:
    way = road()
    rewritten = replace(request(way.flow), source="240.18.1.2", source_port=50001)
    way.send(request(way.flow), to=1)
    way.send(rewritten, first=2)
    way.send(replace(reply(way.flow), destination="240.18.1.2", destination_port=50001), Way.REPLY, to=1)
    trace = way.trace()
    assert numbers(trace.sightings) == list(range(1, 13))
    assert numbers(trace.sightings, Way.REPLY) == [1]
    changed = trace.rewritten(Way.REQUEST)
    assert changed is not None
    assert [s.rung.number for s in changed] == [1, 2]
    told = str(way.trace(answered=True))
    assert f"source {way.flow.source_ip} at request 1 (c1-w1: any device in) became 240.18.1.2 at request 2" in told


def test_a_service_behind_its_translation() -> None:
    way = road("pod.ngw.c1--svc.ngw.c2--tcp")
    way.send(request(way.flow), to=9)
    way.send(replace(request(way.flow), destination="10.9.2.11"), first=10)
    way.send(replace(reply(way.flow), source="10.9.2.11"), Way.REPLY, to=5)
    way.send(reply(way.flow), Way.REPLY, first=6)
    trace = way.trace()
    assert numbers(trace.sightings) == numbers(trace.sightings, Way.REPLY) == list(range(1, 13))
    tenth = trace.at(Way.REQUEST, 10)
    assert tenth is not None
    assert tenth.destinations == ("10.9.2.11",)


def test_arp_without_an_answer_stands_for_packets_that_wait() -> None:
    way = road()
    way.send(request(way.flow), to=1)
    way.send(arp("240.18.1.2", "240.18.1.1"), first=2, to=3)
    trace = way.trace()
    assert trace.lost_between(Way.REQUEST, 3, 4)
    third = trace.at(Way.REQUEST, 3)
    assert third is not None
    assert (third.packets, third.arp, third.data) == (1, 1, 0)
    assert "1 unanswered ARP requests" in str(third)


def test_arp_that_was_answered_or_is_of_another_stands_for_nothing() -> None:
    way = road()
    way.send(request(way.flow), to=1)
    way.send(arp("240.18.1.2", "240.18.1.1"), first=2, to=5)
    second = way.at(Way.REQUEST, 2)
    way.put(second, arp("240.18.1.1", "240.18.1.2", answer=True), direction="in")
    way.put(way.at(Way.REQUEST, 5), arp("240.18.1.3", "240.18.1.1", mac="02:00:00:00:00:03"))
    assert way.trace().lost_between(Way.REQUEST, 1, 2)


def test_arp_of_the_way_back_says_nothing_when_no_request_arrived() -> None:
    """Both gateways ask for each other when their cable is dead; the request was lost first."""
    way = road()
    way.send(request(way.flow), to=5)
    way.send(arp("10.8.1.1", "241.18.2.1"), first=6, to=7)
    way.send(arp("10.9.1.1", "241.18.1.1", mac="02:00:f1:12:02:01"), Way.REPLY, first=6, to=7)
    assert way.trace().lost_between(Way.REQUEST, 7, 8)


def test_large_packets_lost_while_small_ones_pass() -> None:
    way = road(f"{FAR}--tcp--bulk")
    way.send(request(way.flow))
    way.send(reply(way.flow), Way.REPLY)
    way.send(request(way.flow, length=7042), to=2)
    way.send(request(way.flow, length=1450), first=3, to=7)
    trace = way.trace()
    assert trace.first_lost is None
    large = trace.large_lost(Way.REQUEST)
    assert large is not None
    assert [(s.rung.number, s.largest) for s in large] == [(7, 1450), (8, 60)]
    assert "packets of 1450 bytes were seen up to request 7" in str(trace)
    assert trace.large_lost(Way.REPLY) is None


def test_segments_that_are_cut_on_the_way_are_not_lost() -> None:
    way = road(f"{FAR}--tcp--bulk")
    way.send(request(way.flow))
    way.send(request(way.flow, length=65226), to=2)
    way.send(request(way.flow, length=1450), first=3)
    assert way.trace().large_lost(Way.REQUEST) is None


def test_an_echo_tells_sizes_to_the_byte_and_the_last_drop_counts() -> None:
    """A sender that is told of a lower MTU goes on with smaller packets; those that vanish without a word are what is wrong."""
    way = road(f"{FAR}--icmp--pmtu")
    for sequence, (length, last) in enumerate([(84, 12), (1500, 1), (1450, 3), (1354, 12)]):
        way.send(request(way.flow, length=length, sequence=sequence), to=last)
    large = way.trace().large_lost(Way.REQUEST)
    assert large is not None
    assert [(s.rung.number, s.largest) for s in large] == [(3, 1450), (4, 1354)]


def test_what_left_by_another_device_is_told() -> None:
    way = road()
    way.send(request(way.flow), to=1)
    way.put(way.at(Way.REQUEST, 2), request(way.flow), device="eth0")
    looks, conversation = way.looks(), way.conversation()
    followed = {key: conversation.among(look.packets) for key, look in looks.items()}
    (found,) = astray(followed, way.rungs, looks, CABLE)
    assert (found.rung.node, found.rung.device, found.rung.number, found.packets) == ("c1-w1", "eth0", 0, 1)
    assert way.trace().lost_between(Way.REQUEST, 1, 2)


def test_nothing_is_claimed_about_a_node_that_was_not_watched() -> None:
    way = road()
    way.send(request(way.flow), to=3)
    looks = {key: look for key, look in way.looks().items() if key[1] != "c1-gw"}
    trace = Trace(way.flow.id, sightings(_followed(way, looks), way.rungs, looks, CABLE))
    assert {s.packets for s in trace.sightings if s.rung.node == "c1-gw"} == {None}
    assert trace.first_lost == way.at(Way.REQUEST, 8)
    assert "request 4 (c1-gw: eth0 in): not looked at" in map(str, trace.sightings)


def test_a_capture_from_which_packets_may_be_missing_proves_no_absence() -> None:
    way = road()
    way.send(request(way.flow), to=5)
    looks = way.looks(complete=False)
    found = sightings(_followed(way, looks), way.rungs, looks, CABLE)
    assert [s.packets for s in found[:6]] == [1, 1, 1, 1, 1, None]
    notes = list(tracenotes.limits(list(looks), looks, {}))
    assert "c1-gw: more packets than a trace may keep, so what was not seen there may have been there" in notes


def test_counters_alone_prove_only_that_nothing_came() -> None:
    way = road()
    way.send(request(way.flow), to=3)
    looks = way.looks()
    rises = {"vx-submariner": LinkStats(rx_packets=0), "vxlan-tunnel": LinkStats(tx_packets=9)}
    looks["c1", "c1-gw"] = Look(COUNTERS, rises=rises)
    found = {
        s.rung.number: s.packets
        for s in sightings(_followed(way, looks), way.rungs, looks, CABLE)
        if s.rung.node == "c1-gw" and s.rung.way is Way.REQUEST
    }
    assert found == {4: None, 5: 0, 6: None, 7: None}
    notes = list(tracenotes.limits(list(looks), looks, {("c1", "c1-gw"): "neither tcpdump nor python3 is installed"}))
    assert notes == [
        "c1-gw: no capture: neither tcpdump nor python3 is installed",
        "c1-gw: counters alone: vx-submariner received 0 and sent 0, vxlan-tunnel received 0 and sent 9 packets meanwhile, "
        "whosever they were",
    ]


def test_an_encrypted_cable_is_left_out() -> None:
    way = road()
    way.send(request(way.flow), to=6)
    looks = way.looks()
    found = sightings(_followed(way, looks), way.rungs, looks, None)
    assert [s.packets for s in found if s.rung.number in (7, 8)] == [None] * 4


def test_icmp_errors_about_the_flow_and_about_its_tunnel_are_told_once() -> None:
    way = road()
    sent = request(way.flow)
    way.send(sent, to=5)
    fifth = way.at(Way.REQUEST, 5)
    for device in ("cni0", "veth1"):
        way.put(fifth, refusal(sent, "10.8.2.1"), device=device, direction="out")
    tunnel = Packet(0.0, "", None, "udp", "172.18.1.2", "172.18.1.1", 64, source_port=5, destination_port=4800)
    way.put(fifth, refusal(tunnel, "172.18.1.1", code=3), device="eth0", direction="out")
    way.put(fifth, refusal(replace(sent, destination="8.8.8.8"), "10.8.2.1"))
    looks = way.looks()
    nodes, ips = list(looks), frozenset({"172.18.1.1", "172.18.1.2"})
    assert list(tracenotes.errors(way.conversation(), nodes, looks, frozenset({4800}), ips)) == [
        f"c1-gw: cni0 out: icmp 10.8.2.1 > {sent.source} host unreachable, about tcp {sent.source} > {sent.destination} "
        f"port {PORT}",
        "c1-gw: eth0 out: icmp 172.18.1.1 > 172.18.1.2 port unreachable, about udp 172.18.1.2 > 172.18.1.1 port 4800",
    ]


def test_unanswered_arp_is_told() -> None:
    way = road()
    for _ in range(2):
        way.put(way.at(Way.REQUEST, 2), arp("240.18.1.2", "240.18.1.1", mac=NODE_MAC))
    way.put(way.at(Way.REQUEST, 2), arp("240.18.1.2", "10.8.99.99"))
    looks = way.looks()
    assert list(tracenotes.unanswered(way.conversation(), list(looks), looks, (240, 241))) == [
        "c1-w1: asked on vx-submariner who has 240.18.1.1 (2 times), and got no answer"
    ]


def test_a_trace_survives_json() -> None:
    way = road()
    way.send(request(way.flow), to=5)
    whole = replace(
        way.trace(), astray=(Sighting(way.rungs[0], 1),), lines=("a",), notes=("n",), tools={"c1-w1": "tcpdump"}
    )
    assert Trace.from_dict(whole.to_dict()) == whole


def test_packets_as_text_are_in_order_of_time() -> None:
    way = road(f"{FAR}--udp")
    way.send(request(way.flow), to=3)
    looks, conversation = way.looks(), way.conversation()
    lines = tracenotes.lines(conversation, _followed(way, looks), list(looks), looks)
    assert len(lines) == 3
    assert (
        lines[0] == f"0.0000 s  c1-w1 veth1 in: udp {way.flow.source_ip}:41000 > {way.flow.target_ip}:29123, 60 bytes"
    )
    assert "[VNI 100: " in lines[2]


def _followed(way: Road, looks: dict[tuple[str, str], Look]) -> dict[tuple[str, str], tuple[tuple[Way, Packet], ...]]:
    conversation = way.conversation()
    return {key: conversation.among(look.packets) for key, look in looks.items()}
