"""Container logs: the CRI format on disk, and the options of `kubectl logs`."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from multidict import MultiDict

from pytest_submariner.lab.kubelet import logfile
from pytest_submariner.lab.kubelet.logfile import ContainerLog, LogOptions, read


@pytest.fixture
def log(tmp_path: Path) -> ContainerLog:
    return ContainerLog(tmp_path / "c" / "0.log")


async def text(log: ContainerLog, **options: object) -> bytes:
    return b"".join([part async for part in read(log, LogOptions(**options))])  # type: ignore[arg-type]


def test_format_on_disk(log: ContainerLog) -> None:
    log.write("stdout", b"one\ntw")
    log.write("stderr", b"err\n")
    log.write("stdout", b"o\nrest")
    log.close()
    lines = log.path.read_bytes().splitlines()
    stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    for line, end in zip(lines, (b"stdout F one", b"stderr F err", b"stdout F two", b"stdout P rest"), strict=True):
        assert re.fullmatch(stamp + b" " + end, line)


@pytest.mark.asyncio
async def test_everything_comes_back(log: ContainerLog) -> None:
    data = b"\xff\xfe\n" + b"x" * 40_000 + b"\n\n" + b"end"
    for at in range(0, len(data), 7000):
        log.write("stdout", data[at : at + 7000])
    log.close()
    assert await text(log) == data


@pytest.mark.asyncio
@pytest.mark.parametrize("tail", [0, 1, 2, 9999, 20_000, 50_000])
async def test_tail(log: ContainerLog, tail: int) -> None:
    lines = [b"line %d\n" % n for n in range(20_000)]
    log.write("stdout", b"".join(lines))
    assert await text(log, tail=tail) == b"".join(lines[-tail:] if tail else [])


@pytest.mark.asyncio
async def test_limit_and_timestamps(log: ContainerLog) -> None:
    log.write("stdout", b"one\ntwo\n")
    assert await text(log, limit=5) == b"one\nt"
    assert re.match(rb"\d{4}-.*Z one\n", await text(log, timestamps=True))


@pytest.mark.asyncio
async def test_since(log: ContainerLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    log.write("stdout", b"old\n")
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 + 10 * 10**9)
    log.write("stdout", b"new\n")
    recent = LogOptions.from_query(MultiDict(sinceSeconds="5"), 10**18 + 12 * 10**9)
    assert await text(log, since=recent.since) == b"new\n"
    offset = LogOptions.from_query(MultiDict(sinceTime="2001-09-09T03:46:45+02:00"), 0)
    assert await text(log, since=offset.since) == b"new\n"


@pytest.mark.asyncio
async def test_follow_until_the_end(log: ContainerLog) -> None:
    log.write("stdout", b"before\n")

    async def write() -> None:
        for word in (b"one\n", b"two\n"):
            await asyncio.sleep(0.01)
            log.write("stderr", word)
        log.close()

    writing = asyncio.create_task(write())
    assert await text(log, follow=True) == b"before\none\ntwo\n"
    await writing


@pytest.mark.asyncio
async def test_follower_goes_on_in_the_next_file(log: ContainerLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "MAX_FILE", 200)
    following = asyncio.create_task(text(log, follow=True))
    for number in range(10):
        await asyncio.sleep(0.001)
        log.write("stdout", b"line %d\n" % number)
    log.close()
    assert await following == b"".join(b"line %d\n" % n for n in range(10))
    assert log.path.with_suffix(".log.1").exists()
    assert log.path.stat().st_size <= 200


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"tailLines": "many"}, "tailLines=many: must be a whole number"),
        ({"tailLines": "-1"}, "tailLines=-1: must be greater than or equal to 0"),
        ({"limitBytes": "0"}, "limitBytes=0: must be greater than or equal to 1"),
        ({"sinceTime": "yesterday"}, "sinceTime=yesterday: must be a time as in RFC 3339"),
        ({"sinceTime": "2024-10-01T12:00:00"}, "must name its offset"),
        ({"sinceTime": "2024-10-01T12:00:00Z", "sinceSeconds": "1"}, "at most one of"),
    ],
)
def test_wrong_options(query: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogOptions.from_query(MultiDict(query), 0)
