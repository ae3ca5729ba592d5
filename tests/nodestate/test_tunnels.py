"""XFRM and WireGuard. The kernel at hand has neither ESP nor WireGuard: dumps in `written` are made after what `ip xfrm` and `wg`
print and the shapes Submariner's drivers leave, not recorded. XFRM policies it does have, so those are also read for real."""

from __future__ import annotations

import os
from pathlib import Path

import netns_node
import pytest

from pytest_submariner.model.nodestate import (
    WireGuardDevice,
    WireGuardPeer,
    XfrmPolicy,
    XfrmState,
    XfrmTemplate,
)
from pytest_submariner.nodestate import read_state, tunnels
from pytest_submariner.nodestate.section import Section, Unreadable

WRITTEN = Path(__file__).parent / "written"
STATES = (WRITTEN / "ip-xfrm-state.txt").read_text()
POLICIES = (WRITTEN / "ip-xfrm-policy.txt").read_text()


def test_states_with_and_without_udp() -> None:
    assert tunnels.xfrm_states(Section(STATES)) == (
        XfrmState("172.18.0.2", "172.18.0.12", "esp", "0x8e3f0c2a", "tunnel", 16389, "espinudp 4500 4500"),
        XfrmState("172.18.0.12", "172.18.0.2", "esp", "0x1b2d3c4e", "tunnel", 16389),
    )
    carried = [(state.packets, state.octets) for state in tunnels.xfrm_states(Section(STATES))]
    assert carried == [(42, 3528), (None, None)]


def test_policies_with_their_templates_and_none_of_sockets() -> None:
    tunnel = XfrmTemplate("172.18.0.2", "172.18.0.12", "esp", "tunnel", 16389)
    back = XfrmTemplate("172.18.0.12", "172.18.0.2", "esp", "tunnel", 16389)
    pending = XfrmTemplate("0.0.0.0", "0.0.0.0", "esp", "transport", 0)
    assert tunnels.xfrm_policies(Section(POLICIES)) == (
        XfrmPolicy("10.8.0.0/16", "10.9.0.0/16", "out", 2088926, "allow", (tunnel,)),
        XfrmPolicy("10.9.0.0/16", "10.8.0.0/16", "fwd", 2088926, "allow", (back,)),
        XfrmPolicy("10.8.0.0/16", "100.9.0.0/16", "out", 2088926, "allow", (pending,)),
        XfrmPolicy("10.8.9.0/24", "0.0.0.0/0", "out", 7, "block"),
    )


def test_a_policy_of_this_kernel() -> None:
    add = ["ip", "xfrm", "policy", "add", "src", "10.8.0.0/16", "dst", "10.9.0.0/16", "dir", "out", "priority", "9"]
    template = ["tmpl", "src", "172.18.0.2", "dst", "172.18.0.12", "proto", "esp", "reqid", "16389", "mode", "tunnel"]
    with netns_node.namespace() as pid:
        node = netns_node.node(pid)
        if node.run([*add, *template]).exit_status:
            pytest.skip("this kernel has no XFRM")
        state = read_state(node, ["xfrm_policies", "xfrm_states"])
    tunnel = XfrmTemplate("172.18.0.2", "172.18.0.12", "esp", "tunnel", 16389)
    assert state.xfrm_policies == (XfrmPolicy("10.8.0.0/16", "10.9.0.0/16", "out", 9, "allow", (tunnel,)),)
    assert state.xfrm_states == ()


@pytest.mark.parametrize("reader", [tunnels.xfrm_states, tunnels.xfrm_policies, tunnels.wireguard])
def test_nothing_there_is_empty_and_not_readable_is_a_reason(reader: object) -> None:
    assert callable(reader)
    assert reader(Section("")) == ()
    with pytest.raises(Unreadable, match="not supported"):
        reader(Section("", "Protocol not supported"))


FAKE_WG = """#!/bin/sh
printf 'submariner\\tPRIVATE=\\tPUBLIC=\\t4500\\toff\\n'
printf 'submariner\\tPEER1=\\tPRESHARED=\\t172.18.2.1:4500\\t10.9.0.0/16,100.9.0.0/16\\t1729500000\\t1024\\t2048\\t10\\n'
printf 'submariner\\tPEER2=\\t(none)\\t(none)\\t(none)\\t0\\t0\\t0\\toff\\n'
printf 'wg1\\tPRIVATE=\\tOTHER=\\t51820\\t0xca6c\\n'
"""


def test_wireguard_without_its_keys(tmp_path: Path) -> None:
    """The script runs for real, on a stand-in that prints what `wg show all dump` prints: no key gets past it."""
    program = tmp_path / "wg"
    program.write_text(FAKE_WG)
    program.chmod(0o755)
    with netns_node.namespace() as pid:
        node = netns_node.node(pid, {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
        said = node.script(tunnels.WIREGUARD)
        state = read_state(node, ["wireguard"])
    assert b"PEER1" in said.stdout
    assert b"PRIVATE" not in said.stdout + said.stderr
    assert b"PRESHARED" not in said.stdout + said.stderr
    first = WireGuardPeer("PEER1=", "172.18.2.1:4500", ("10.9.0.0/16", "100.9.0.0/16"))
    assert state.wireguard == (
        WireGuardDevice("submariner", "PUBLIC=", 4500, (first, WireGuardPeer("PEER2=", None, ()))),
        WireGuardDevice("wg1", "OTHER=", 51820),
    )
    one, two = state.wireguard[0].peers
    assert (one.latest_handshake, one.received, one.sent) == (1729500000, 1024, 2048)
    assert (two.latest_handshake, two.received, two.sent) == (None, 0, 0)


def test_wireguard_that_fails_is_a_reason(tmp_path: Path) -> None:
    program = tmp_path / "wg"
    program.write_text("#!/bin/sh\necho 'Unable to list interfaces: Protocol not supported' >&2\nexit 1\n")
    program.chmod(0o755)
    with netns_node.namespace() as pid:
        node = netns_node.node(pid, {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
        state = read_state(node, ["wireguard"])
    assert state.wireguard is None
    assert state.unread["wireguard"] == "Unable to list interfaces: Protocol not supported"
