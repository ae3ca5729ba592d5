"""The subctl binary: tried before use, called without its traps, and never left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_subctl import HEALTHY, PANICS, PASSES, WAITS, calls, fake_subctl

from pytest_submariner.compare import subctl
from pytest_submariner.compare.progress import Progress, SpecEnded, plain
from pytest_submariner.compare.subctl import SubctlFailed, SubctlUnusable, Verify, version


def verify(program: Path, seconds: float = 30) -> Verify:
    folder = program.parent
    config = folder / "given"
    config.write_text("apiVersion: v1\n")
    deadline = time.monotonic() + seconds
    return Verify(program, config, ("c1", "c2"), folder / "report.xml", folder / "log.txt", deadline)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def nobody(line: str) -> None:
    """Wants no line."""


# --- the binary


def test_version_is_what_the_binary_says(tmp_path: Path) -> None:
    assert version(fake_subctl(tmp_path)) == "v0.19.0"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "there is no such file"),
        ("#!/bin/sh\n", 0o644, "is not an executable file: chmod +x it"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf3\x00" + bytes(44), 0o755, "is it for another?"),
        ("no program\n", 0o755, "does not start on this machine"),
        ("#!/bin/sh\necho kubectl 1.32\n", 0o755, "is not subctl: asked for its version it said 'kubectl 1.32'"),
        ("#!/bin/sh\nexit 0\n", 0o755, "is not subctl: asked for its version it said 'nothing'"),
        ("#!/bin/sh\nkill -ILL $$\n", 0o755, "was ended by signal 4 at once"),
    ],
    ids=["missing", "mode", "riscv", "text", "kubectl", "silent", "signal"],
)
def test_unusable_binary_is_told_in_one_line(tmp_path: Path, content: str | bytes | None, mode: int, said: str) -> None:
    program = tmp_path / "subctl"
    if content is not None:
        program.write_bytes(content if isinstance(content, bytes) else content.encode())
        program.chmod(mode)
    with pytest.raises(SubctlUnusable) as caught:
        version(program)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_word_that_is_not_in_path_says_how_to_name_a_file() -> None:
    with pytest.raises(SubctlUnusable, match=r"not in PATH .*\./subctl"):
        version(Path("subctl"))


# --- a run


def test_kubeconfig_comes_by_environment_and_the_third_cluster_is_never_meant(tmp_path: Path) -> None:
    """`--kubeconfig` would make subctl believe in a third cluster, which is the first again."""
    program = fake_subctl(tmp_path)
    verify(program).run(nobody)
    (call,) = calls(program)
    kubeconfig, *argv = call.split()
    assert kubeconfig == str(tmp_path / "given")
    assert argv[:5] == ["verify", "--context", "c1", "--tocontext", "c2"]
    assert argv[argv.index("--only") + 1] == "connectivity"
    assert not any(word.endswith("config") for word in argv if word.startswith("--"))


def test_waits_are_in_proportion() -> None:
    """The connector sleeps half a timeout after its last attempt; the wait for it must be longer, or a blocked path looks like a
    pod that hangs."""
    assert subctl.CONNECTION_TIMEOUT_S >= 20
    assert subctl.OPERATION_TIMEOUT_S > 1.5 * subctl.CONNECTION_TIMEOUT_S


def test_lines_come_without_colours_and_are_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    given = verify(fake_subctl(tmp_path))
    given.run(lines.append)
    assert lines[0] == "Will run 12 of 48 specs"
    assert given.log.read_text().splitlines() == lines
    assert given.report.read_bytes() == HEALTHY.read_bytes()


def test_specs_are_told_as_they_end() -> None:
    progress = Progress()
    shown = subprocess.run(["sh", "-c", f"report=/dev/null\n{PASSES}"], capture_output=True, text=True, check=True)
    ended = [found for line in shown.stdout.splitlines() if (found := progress.feed(plain(line)))]
    (only,) = ended
    assert only.text.startswith("Basic TCP connectivity tests")
    assert only.text.endswith("should have sent the expected data from the pod to the other pod")
    assert (only.word, only.seconds) == ("passed", 1.075)
    assert (progress.selected, progress.namespaces) == (12, ["e2e-tests-dataplane-conn-nd-z975v"])


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("• [FAILED] [31.2 seconds]", "failed"),
        ("• [PANICKED] [31.2 seconds]", "panicked"),
        ("• [INTERRUPTED] [31.2 seconds]", "interrupted"),
        ("S [SKIPPED] [31.2 seconds]", "skipped"),
    ],
)
def test_every_end_has_its_word(line: str, word: str) -> None:
    progress = Progress()
    for before in ("-" * 30, "Gateway status reporting [dataplane]", "/src/x.go:41"):
        assert progress.feed(before) is None
    assert progress.feed(line) == SpecEnded("Gateway status reporting", word, 31.2)


def test_panic_is_told_with_its_last_lines(tmp_path: Path) -> None:
    given = verify(fake_subctl(tmp_path, PANICS))
    given.report.write_text("of an earlier run")
    with pytest.raises(SubctlFailed) as caught:
        given.run(nobody)
    first, *rest = str(caught.value).splitlines()
    assert first == f"subctl verify ended with exit status 2 and left no report; all it said is in {given.log}, last:"
    assert "  panic: runtime error: invalid memory address or nil pointer dereference" in rest


def test_deadline_asks_it_to_end_and_takes_the_report(tmp_path: Path) -> None:
    given = verify(fake_subctl(tmp_path, WAITS), seconds=0.5)
    given.run(nobody)
    assert given.report.exists()
    assert (tmp_path / "cleaned").exists()


def test_what_it_says_while_it_ends_is_heard(tmp_path: Path) -> None:
    """It may have made one more namespace by then."""
    late = WAITS.replace(
        "trap 'echo cleaned", """trap 'echo "Generated namespace \\"e2e-tests-late\\" in cluster"; echo cleaned"""
    )
    progress = Progress()

    def listen(line: str) -> None:
        progress.feed(line)

    verify(fake_subctl(tmp_path, late), seconds=0.5).run(listen)
    assert progress.namespaces[-1] == "e2e-tests-late"


def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subctl, "GRACE_S", 0.2)
    deaf = WAITS.replace("trap 'echo", "trap '' TERM; : 'echo")
    with pytest.raises(SubctlFailed, match=r"was ended after \d+ s and left no report"):
        verify(fake_subctl(tmp_path, deaf), seconds=0.5).run(nobody)
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_interrupt_ends_it(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if "Generated namespace" in line:
            eventually((tmp_path / "pid").exists)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(fake_subctl(tmp_path, WAITS)).run(interrupt)
    assert (tmp_path / "cleaned").exists()
    assert is_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_it_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = fake_subctl(tmp_path, WAITS)
    code = (
        "import sys, time; from pathlib import Path; from pytest_submariner.compare.subctl import Verify;"
        f"here = Path({str(tmp_path)!r}); (here / 'given').write_text('');"
        f"Verify(Path({str(program)!r}), here / 'given', ('c1', 'c2'), here / 'r.xml', here / 'log', time.monotonic() + 60).run(print)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, env=environment) as parent:
        eventually((tmp_path / "pid").exists)
        parent.send_signal(signal.SIGKILL)
    eventually((tmp_path / "cleaned").exists)
    eventually(lambda: is_gone(int((tmp_path / "pid").read_text())))
