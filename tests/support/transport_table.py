"""What every transport must do, as one table of behaviours; each takes an open transport. Run by tests of every kind
of transport."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_submariner.errors import CommandNotFound, ExecTimeout
from pytest_submariner.transport.base import Transport

MIB = 1024 * 1024


def exit_status_and_streams(transport: Transport) -> None:
    answer = transport.run(["sh", "-c", "printf out; printf err >&2; exit 42"])
    assert (answer.exit_status, answer.stdout, answer.stderr) == (42, b"out", b"err")
    assert answer.argv == ("sh", "-c", "printf out; printf err >&2; exit 42")
    assert answer.transport == transport.name


def success_without_output(transport: Transport) -> None:
    answer = transport.run(["true"])
    assert (answer.exit_status, answer.stdout, answer.stderr) == (0, b"", b"")


def status_of_a_signal(transport: Transport) -> None:
    assert transport.run(["sh", "-c", "kill -TERM $$"]).exit_status == 143


def more_than_4_mib_on_both_streams(transport: Transport) -> None:
    size = 5 * MIB
    script = f"head -c {size} /dev/zero | tr '\\0' a & head -c {size} /dev/zero | tr '\\0' b >&2; wait"
    answer = transport.run(["sh", "-c", script], timeout=60)
    assert len(answer.stdout) == size
    assert len(answer.stderr) == size
    assert set(answer.stdout) == set(b"a")
    assert set(answer.stderr) == set(b"b")


def one_stream_first_and_then_the_other(transport: Transport) -> None:
    """Whoever reads stdout to its end before stderr hangs here."""
    answer = transport.run(["sh", "-c", f"head -c {3 * MIB} /dev/zero >&2; head -c {3 * MIB} /dev/zero"], timeout=60)
    assert (len(answer.stdout), len(answer.stderr)) == (3 * MIB, 3 * MIB)


def stdin_to_its_end(transport: Transport) -> None:
    data = bytes(range(256)) * 16 * 1024
    assert transport.run(["cat"], stdin=data, timeout=60).stdout == data


def empty_stdin(transport: Transport) -> None:
    assert transport.run(["cat"], stdin=b"").stdout == b""


def no_stdin(transport: Transport) -> None:
    assert transport.run(["cat"], timeout=10).stdout == b""


def stdin_nobody_reads(transport: Transport) -> None:
    assert transport.run(["true"], stdin=b"x" * 2 * MIB).exit_status == 0


def arguments_arrive_as_they_are(transport: Transport) -> None:
    words = ["", " ", "a  b", "it's", '"', "$HOME", "`id`", "*", "a\nb", "ü", "--", "\\n", "%s;&|"]
    answer = transport.run(["sh", "-c", r'for word; do printf "%s\036" "$word"; done', "sh", *words])
    assert answer.stdout.decode() == "".join(f"{word}\036" for word in words)


def bytes_that_are_not_utf8(transport: Transport) -> None:
    answer = transport.run(["printf", r"\377\000\376 \303"])
    assert answer.stdout == b"\xff\x00\xfe \xc3"
    assert answer.text == "\ufffd\0\ufffd \ufffd"


def deadline_keeps_what_had_come(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(ExecTimeout) as caught:
        transport.run(["sh", "-c", "echo early; exec sleep 60"], timeout=1)
    assert caught.value.partial == b"early\n"
    assert time.monotonic() - started < 5


def a_command_past_its_deadline_ends_on_the_node(transport: Transport) -> None:
    """The node may take a second longer than we wait; then nothing of it is left."""
    with pytest.raises(ExecTimeout):
        transport.run(["sh", "-c", "sleep 61.7531 & sleep 61.7531"], timeout=0.5)
    deadline = time.monotonic() + 6
    listing = ["sh", "-c", 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "']
    while "sleep 61.7531" in transport.run(listing).text.replace(listing[2], ""):
        assert time.monotonic() < deadline, "the command is still there"
        time.sleep(0.3)


def missing_program(transport: Transport) -> None:
    with pytest.raises(CommandNotFound, match="frobnicate"):
        transport.run(["frobnicate", "--all"])


def missing_program_by_path(transport: Transport) -> None:
    with pytest.raises(CommandNotFound):
        transport.run(["/nowhere/frobnicate"])


def status_127_of_a_shell_is_an_answer(transport: Transport) -> None:
    assert transport.run(["sh", "-c", "frobnicate"]).exit_status == 127


def ten_in_parallel(transport: Transport) -> None:
    def ask(number: int) -> tuple[int, bytes]:
        answer = transport.run(["sh", "-c", f"head -c 100000 /dev/zero; sleep 0.2; echo {number}; exit {number}"])
        return answer.exit_status, answer.stdout[-3:]

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(ask, range(10, 20))) == [(n, f"{n}\n".encode()) for n in range(10, 20)]


TABLE: tuple[Callable[[Transport], None], ...] = (
    exit_status_and_streams,
    success_without_output,
    status_of_a_signal,
    more_than_4_mib_on_both_streams,
    one_stream_first_and_then_the_other,
    stdin_to_its_end,
    empty_stdin,
    no_stdin,
    stdin_nobody_reads,
    arguments_arrive_as_they_are,
    bytes_that_are_not_utf8,
    deadline_keeps_what_had_come,
    a_command_past_its_deadline_ends_on_the_node,
    missing_program,
    missing_program_by_path,
    status_127_of_a_shell_is_an_answer,
    ten_in_parallel,
)
