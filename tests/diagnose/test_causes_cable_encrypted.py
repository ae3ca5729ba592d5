"""IPsec and WireGuard cables, on dumps written after the agents' code and the tools' formats (`support/encrypted_cables.py`): this kernel
has neither."""

from __future__ import annotations

from dataclasses import replace

import pytest
from encrypted_cables import KEY, OTHER_KEY, ipsec, logged, wireguard, with_endpoints
from observations import changed, failing, found, suspicions

from pytest_submariner.diagnose.catalogue import CAUSES
from pytest_submariner.diagnose.causes import cable_addresses, cable_encrypted
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.lab.faults.signatures import CABLE, SERVICES_HERE

CABLES = [c for c in CAUSES if c.code.startswith("CABLE_")]


@pytest.mark.parametrize(
    "seen", [ipsec(), ipsec(encap={"c1": 4500, "c2": 4500}), wireguard()], ids=["esp", "esp in udp", "wireguard"]
)
def test_silent_in_health(seen: Observation) -> None:
    assert suspicions(seen) == []


def without_packets(seen: Observation, node: str, source: str) -> Observation:
    """Nothing came on associations from `source`."""
    return changed(
        seen, node, xfrm_states=lambda states: [replace(s, packets=0) if s.source == source else s for s in states]
    )


def test_esp_is_dropped_on_the_way() -> None:
    seen = without_packets(failing(ipsec(), CABLE), "c2-gw", "172.18.1.1")
    assert found(seen, *CABLES) == [("CABLE_ESP_BLOCKED", "c1", "c1-gw")]


def test_esp_is_dropped_both_ways() -> None:
    seen = without_packets(without_packets(failing(ipsec(), CABLE), "c2-gw", "172.18.1.1"), "c1-gw", "172.18.2.1")
    assert found(seen, *CABLES) == [("CABLE_ESP_BLOCKED", "c1", "c1-gw")]


def test_associations_nobody_used_yet_prove_nothing() -> None:
    assert suspicions(ipsec(packets=0), cable_encrypted.esp_blocked) == []


def with_digests(seen: Observation, **digests: str) -> Observation:
    objects = {
        position: replace(found, psk_digest=digests.get(position, "")) for position, found in seen.objects.items()
    }
    return replace(seen, objects=objects)


@pytest.mark.parametrize("seen", [ipsec(), wireguard()], ids=["ipsec", "wireguard"])
def test_keys_that_differ(seen: Observation) -> None:
    differing = with_digests(failing(seen, CABLE), c1="aa", c2="bb")
    assert found(differing, cable_encrypted.psk_mismatch) == [("CABLE_PSK_MISMATCH", "c1", "c1-gw")]
    assert suspicions(with_digests(seen, c1="aa", c2="aa"), cable_encrypted.psk_mismatch) == []
    assert suspicions(with_digests(seen, c1="aa"), cable_encrypted.psk_mismatch) == []


def test_a_peer_that_fails_authentication() -> None:
    line = (
        '"submariner-cable-c2-172-18-2-1-0-0" #3: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED'
    )
    seen = logged(ipsec(), "c1", "submariner-gateway-c1-gw/submariner-gateway", line)
    assert found(failing(seen, CABLE), cable_encrypted.psk_mismatch) == [("CABLE_PSK_MISMATCH", "c1", "c1-gw")]
    assert found(seen, cable_encrypted.psk_mismatch) == []


def test_packets_without_a_handshake() -> None:
    assert found(failing(wireguard(handshake=0), CABLE), cable_encrypted.psk_mismatch) == [
        ("CABLE_PSK_MISMATCH", "c1", "c1-gw")
    ]


def test_a_pair_without_a_policy() -> None:
    def terminated(policies: tuple[object, ...]) -> list[object]:
        return [p for p in policies if "100.8.0.0/16" not in (p.source, p.destination)]  # type: ignore[attr-defined]

    seen = failing(changed(ipsec(), "c1-gw", xfrm_policies=terminated), SERVICES_HERE)
    assert found(seen, *CABLES) == [("CABLE_SELECTOR_INCOMPLETE", "c1", "c1-gw")]
    [(_, suspicion)] = suspicions(seen, cable_encrypted.selector_incomplete)
    assert {flow.id for flow in seen.failing_in(suspicion.explains)} == {flow.id for flow in seen.failing}


def test_trap_policies_carry_nothing() -> None:
    def trapped(policies: tuple[object, ...]) -> list[object]:
        return [
            replace(p, templates=tuple(replace(t, mode="transport", destination="0.0.0.0") for t in p.templates))  # type: ignore
            if (p.source, p.direction) == ("10.8.0.0/16", "out")  # type: ignore[attr-defined]
            else p
            for p in policies
        ]

    assert (
        found(failing(changed(ipsec(), "c1-gw", xfrm_policies=trapped), CABLE), cable_encrypted.selector_incomplete)
        != []
    )


def test_one_policy_for_everything_covers_all_pairs() -> None:
    def merged(policies: tuple[object, ...]) -> list[object]:
        return [replace(p, source="0.0.0.0/0", destination="0.0.0.0/0") for p in policies]  # type: ignore

    assert suspicions(changed(ipsec(), "c1-gw", xfrm_policies=merged), cable_encrypted.selector_incomplete) == []


def test_no_policies_at_all_are_another_fault() -> None:
    assert suspicions(changed(ipsec(), "c1-gw", xfrm_policies=()), cable_encrypted.selector_incomplete) == []
    assert suspicions(changed(ipsec(), "c1-gw", xfrm_policies=None), cable_encrypted.selector_incomplete) == []


def test_a_subnet_that_is_not_among_the_allowed() -> None:
    seen = failing(wireguard(allowed={"c2": ["10.8.0.0/16"]}), SERVICES_HERE)
    assert found(seen, *CABLES) == [("CABLE_SELECTOR_INCOMPLETE", "c2", "c2-gw")]


def test_a_device_with_another_key_than_the_endpoint() -> None:
    seen = failing(wireguard(keys={"c2": OTHER_KEY}, handshake=0), CABLE)
    assert found(seen, *CABLES) == [("CABLE_WG_KEY_STALE", "c2", "c2-gw")]


def test_a_peer_with_another_key_than_published() -> None:
    seen = with_endpoints(wireguard(), "c2", backend_config=lambda c: {**c, "publicKey": OTHER_KEY})
    seen = failing(
        changed(seen, "c2-gw", wireguard=lambda devices: [replace(d, public_key=OTHER_KEY) for d in devices]), CABLE
    )
    assert found(seen, *CABLES) == [("CABLE_WG_KEY_STALE", "c1", "c1-gw")]
    assert KEY["c2"] in suspicions(seen, cable_encrypted.wg_key_stale)[0][1].state[0]


@pytest.mark.parametrize(
    "seen", [ipsec(encap={"c1": 37231, "c2": 4500}), wireguard(ports={"c1": 37231})], ids=["ipsec", "wireguard"]
)
def test_a_source_port_that_was_rewritten(seen: Observation) -> None:
    assert found(failing(seen, CABLE), *CABLES) == [("CABLE_NAT_PORT_REWRITTEN", "c1", "c1-gw")]
    assert found(seen, cable_addresses.nat_port_rewritten) == []
