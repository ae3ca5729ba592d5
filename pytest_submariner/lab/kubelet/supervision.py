"""Keeps a container as its restart policy wants it: starts it again, waits longer each time, waits for what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from pytest_submariner.lab.kubelet.backoff import BackOff
from pytest_submariner.lab.kubelet.container import Container, waiting

Object = dict[str, Any]
RETRY_S, LONGEST_RETRY_S = 1.0, 10.0
"""How often a container that cannot be made is tried again."""
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff")


@dataclass(frozen=True)
class Supervisor:
    """For all containers of one pod."""

    pod: str
    """`NAME_NAMESPACE(UID)`, as back-off messages have it."""
    publish: Callable[[], Awaitable[None]]
    """Tells the API what the containers do now."""
    warn: Callable[[str, str, Container], None]
    """Makes an event: reason, message."""
    changed: Callable[[str], Awaitable[Object]]
    """Waits for a change of the pod; then the specification of the named container."""

    async def start(self, container: Container) -> None:
        await container.start()
        await self.publish()

    async def supervise(self, container: Container, policy: str) -> None:
        """From a start to the end that needs no restart; `policy`: Always, OnFailure, Never."""
        backoff, retry = BackOff(), RETRY_S
        loop = asyncio.get_running_loop()
        while True:
            if container.state.reason in IMAGE_REASONS:
                await self._wait_for_image(container)
                continue
            if not container.state.running and container.state.terminated is None:
                self.warn("Failed", f"Error: {container.state.state['waiting'].get('message', '')}", container)
                await asyncio.sleep(retry)
                retry = min(retry * 2, LONGEST_RETRY_S)
                await self.start(container)
                continue
            since = loop.time()
            if container.state.running:
                await container.wait()
            ended = container.state.terminated
            if ended is None or policy == "Never" or (policy == "OnFailure" and ended["exitCode"] == 0):
                await self.publish()
                return
            await self._back_off(container, backoff.after(loop.time() - since), ended)
            await self.start(container)

    async def _back_off(self, container: Container, seconds: float, ended: Object) -> None:
        if not seconds:
            return
        message = f"back-off {_duration(seconds)} restarting failed container={container.name} pod={self.pod}"
        container.state = replace(
            container.state, state=waiting("CrashLoopBackOff", message), last={"terminated": ended}, ready=False
        )
        self.warn("BackOff", message, container)
        await self.publish()
        await asyncio.sleep(seconds)

    async def _wait_for_image(self, container: Container) -> None:
        """No toolset appears by itself, but the pod's image may be changed."""
        image, message = container.spec["image"], container.state.state["waiting"]["message"]
        self.warn("Failed", f"Failed to pull image: {message}", container)
        refused = waiting("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {message}')
        container.state = replace(container.state, state=refused)
        await self.publish()
        while container.spec["image"] == image:
            container.spec = await self.changed(container.name)
        await self.start(container)


def _duration(seconds: float) -> str:
    """As Go prints it: 10s, 2m40s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
