"""The work queue of the controllers."""

from __future__ import annotations

import asyncio

import pytest

from pytest_submariner.errors import LabError
from pytest_submariner.lab.apierrors import ApiError
from pytest_submariner.lab.controllers.reconciler import Reconciler
from pytest_submariner.lab.informer import Key

A: Key = ("ns", "a")
B: Key = ("ns", "b")


class Work:
    """Counts calls per key; fails with what `faults` holds; waits for `gate`."""

    def __init__(self) -> None:
        self.calls: list[Key] = []
        self.faults: list[BaseException] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy: set[Key] = set()

    async def __call__(self, key: Key) -> None:
        assert key not in self.busy
        self.busy.add(key)
        try:
            self.calls.append(key)
            await self.gate.wait()
            if self.faults:
                raise self.faults.pop(0)
        finally:
            self.busy.discard(key)


async def settled() -> None:
    await asyncio.sleep(0.08)


@pytest.mark.asyncio
async def test_bursts_are_one_call_and_a_change_meanwhile_is_one_more() -> None:
    work = Work()
    queue = Reconciler("test", work)
    work.gate.clear()
    for _ in range(10):
        queue.add(A)
    await settled()
    assert work.calls == [A]
    for _ in range(10):
        queue.add(A)
    queue.add(B)
    await settled()
    assert work.calls == [A, B]
    work.gate.set()
    await settled()
    assert work.calls == [A, B, A]


@pytest.mark.asyncio
async def test_a_sooner_time_wins_over_a_later_one() -> None:
    work = Work()
    queue = Reconciler("test", work)
    queue.add(A, after_s=60)
    queue.add(A)
    await settled()
    assert work.calls == [A]
    queue.add(B)
    queue.add(B, after_s=60)
    await settled()
    assert work.calls == [A, B]


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [LabError("lost"), ApiError(409, "Conflict", "changed"), KeyError("spec")])
async def test_failures_are_tried_again(fault: Exception) -> None:
    work = Work()
    work.faults = [fault]
    queue = Reconciler("test", work)
    queue.add(A)
    await settled()
    assert work.calls == [A, A]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault",
    [
        ApiError(404, "NotFound", "gone"),
        ApiError(403, "Forbidden", "unable to create new content in namespace ns because it is being terminated"),
    ],
)
async def test_what_went_away_is_not_tried_again(fault: Exception) -> None:
    work = Work()
    work.faults = [fault]
    queue = Reconciler("test", work)
    queue.add(A)
    await settled()
    assert work.calls == [A]


@pytest.mark.asyncio
async def test_stop_cancels_what_runs_and_what_waits() -> None:
    work = Work()
    queue = Reconciler("test", work)
    work.gate.clear()
    queue.add(A)
    queue.add(B, after_s=60)
    await settled()
    await queue.stop()
    assert not work.busy
    queue.add(A)
    await settled()
    assert work.calls == [A]
