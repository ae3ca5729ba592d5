"""The verbs of a node, and the rule about asking again."""

from __future__ import annotations

import fake_transport as fake
import pytest
from fake_transport import FakeTransport, Turn

from pytest_submariner.errors import (
    CommandNotFound,
    ExecTimeout,
    ExitStatusLost,
    NodeUnreachable,
    TransportError,
)
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.model.topology import Node, Role
from pytest_submariner.transport import node as node_module
from pytest_submariner.transport.base import Transport
from pytest_submariner.transport.node import CommandFailed, NodeExec

NODE = Node("c1-w1", "c1", Role.NON_GATEWAY, "172.18.1.2")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "PAUSE_S", 0.0)


def node(*turns: Turn) -> tuple[NodeExec, FakeTransport]:
    transport = FakeTransport(list(turns))
    assert isinstance(transport, Transport)
    return NodeExec(NODE, transport), transport


def test_an_answer_is_told_as_the_nodes() -> None:
    exec_, _ = node(fake.answer(b"x", status=3))
    result = exec_.run(["ip", "rule"])
    assert (result.node, result.exit_status, result.stdout, result.attempts) == ("c1-w1", 3, b"x", 1)


def test_what_could_not_be_asked_is_asked_again() -> None:
    exec_, transport = node(fake.dead, fake.dead, fake.answer(b"x"))
    assert exec_.run(["id"]).attempts == 3
    assert len(transport.asked) == 3


def test_a_node_that_stays_dead_is_told_after_three_attempts() -> None:
    exec_, transport = node(fake.dead)
    with pytest.raises(NodeUnreachable):
        exec_.run(["id"])
    assert len(transport.asked) == 3


@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        (fake.lost, ExitStatusLost),
        (fake.truncated, TransportError),
        (fake.late, ExecTimeout),
        (fake.fail(CommandNotFound("no program")), CommandNotFound),
        (fake.fail(AccessDenied("unknown host key")), AccessDenied),
    ],
)
def test_what_may_have_happened_or_never_will_is_not_asked_again(turn: Turn, kind: type[Exception]) -> None:
    exec_, transport = node(turn)
    with pytest.raises(kind):
        exec_.run(["reboot"])
    assert len(transport.asked) == 1


def test_a_non_zero_exit_status_is_never_asked_again() -> None:
    exec_, transport = node(fake.answer(status=1), fake.answer())
    assert exec_.run(["false"], repeatable=True).exit_status == 1
    assert len(transport.asked) == 1


def test_a_reading_command_is_asked_again_when_its_answer_was_lost() -> None:
    exec_, transport = node(fake.lost, fake.answer(b"[1]"))
    assert exec_.json(["ip", "-j", "rule"]) == [1]
    assert len(transport.asked) == 2


def test_a_deadline_keeps_the_partial_answer() -> None:
    exec_, _ = node(fake.late)
    with pytest.raises(ExecTimeout) as caught:
        exec_.run(["sleep", "9"])
    assert caught.value.partial == b"half"


def test_check_shows_command_status_and_streams() -> None:
    exec_, _ = node(fake.answer(b"some", status=2, stderr=b"Cannot find device"))
    with pytest.raises(
        CommandFailed, match=r"(?s)c1-w1 by fake\] \$ ip link show x.*exit status 2.*Cannot find device"
    ) as caught:
        exec_.check(["ip", "link", "show", "x"])
    assert caught.value.result.stdout == b"some"


def test_json_that_is_none_is_shown() -> None:
    exec_, _ = node(fake.answer(b"Object is not JSON"))
    with pytest.raises(CommandFailed, match="not JSON"):
        exec_.json(["ip", "-j", "link"])


def test_json_of_nothing_is_an_empty_list() -> None:
    exec_, _ = node(fake.answer(b"\n"))
    assert exec_.json(["bridge", "-j", "fdb"]) == []


def test_a_script_travels_by_stdin() -> None:
    exec_, transport = node(fake.answer())
    exec_.script("echo $1", "word")
    assert (transport.asked, transport.stdins) == ([("sh", "-s", "--", "word")], [b"echo $1"])


def test_a_command_line_in_one_string_is_refused() -> None:
    exec_, _ = node(fake.answer())
    with pytest.raises(TypeError, match="argv is a list of words"):
        exec_.run("ip rule")
