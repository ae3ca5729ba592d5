"""Runs a command for a client: process streams to channels, the exit status last, and no process without a client."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pytest_submariner.errors import LabError
from pytest_submariner.lab.kubelet import pipes, status
from pytest_submariner.lab.kubelet.session import Channel, ClientGone, ExecOptions, Session
from pytest_submariner.lab.spawner import Process

Start = Callable[[tuple[int, int, int]], Awaitable[Process]]
"""Starts the command with these three descriptors; OSError when it cannot be executed. Leaves nothing when cancelled."""
log = logging.getLogger(__name__)


async def run(session: Session, options: ExecOptions, cwd: str, start: Start) -> None:
    """Returns when the client has its answer or is gone. Whatever happens, no process of a client that left lives on."""
    stdio = pipes.Stdio.open(stdin=options.stdin, stdout=options.stdout, stderr=options.stderr, tty=options.tty)
    try:
        try:
            process = await start(stdio.child)
        except OSError as error:
            await session.finish(_refused(status.not_started(options.command, cwd, error)))
            return
        except LabError as error:
            await session.finish(_refused(str(error)))
            return
        stdio.close_child()
        if options.tty:
            session.resizes.follow(stdio.resize)
        code = await _converse(session, process, stdio)
        await session.finish(status.exited(options.command, code))
    except ClientGone:
        log.debug("the client of %s left", options.command)
    finally:
        session.resizes.follow(None)
        stdio.close()


def _refused(why: str) -> dict[str, object]:
    return status.internal_error(f"error executing command in container: failed to exec in container: {why}")


async def _converse(session: Session, process: Process, stdio: pipes.Stdio) -> int:
    """The exit status, when the process has ended and all its output is sent; ClientGone when the client left before."""
    tasks: list[asyncio.Task[object]] = []
    ended = False
    try:
        output = [
            asyncio.create_task(_forward(session, channel, fd))
            for channel, fd in ((Channel.STDOUT, stdio.stdout), (Channel.STDERR, stdio.stderr))
            if fd >= 0
        ]
        gone = asyncio.create_task(session.gone.wait())
        outcome = asyncio.create_task(_outcome(process, output))
        tasks += [*output, gone, outcome]
        if stdio.stdin >= 0:
            tasks.append(asyncio.create_task(_feed(session, stdio)))
        await asyncio.wait((gone, outcome), return_when=asyncio.FIRST_COMPLETED)
        if not outcome.done():
            raise ClientGone
        code = outcome.result()
        ended = True
        return code
    finally:
        # First of all, as nothing in here may be skipped by a second cancellation.
        if not ended:
            process.kill()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _outcome(process: Process, output: list[asyncio.Task[None]]) -> int:
    """Output may last longer than the process: a child of it can hold the pipe, and then the client waits, as everywhere."""
    await asyncio.gather(*output)
    return await process.wait()


async def _forward(session: Session, channel: Channel, fd: int) -> None:
    while data := await pipes.read(fd):
        await session.send(channel, data)


async def _feed(session: Session, stdio: pipes.Stdio) -> None:
    """Client to process. A process that stops reading is no error: the rest is dropped."""
    try:
        while data := await session.stdin.get():
            await pipes.write(stdio.stdin, data)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
    finally:
        session.stdin.ignore()
        with suppress(OSError):
            stdio.close_stdin()
