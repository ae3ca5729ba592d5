"""Whether the broker lets a cluster in with the token and the authority that the cluster has stored."""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_submariner.errors import LabError
from pytest_submariner.lab.informer import Informer
from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]
Entry = Callable[[str, str], Awaitable[bool]]
"""Token and authority (PEM in base64) -> whether a broker lets in who has them."""
log = logging.getLogger(__name__)


class BrokerAccess:
    """Of one cluster. Asks once for each pair of token and authority."""

    def __init__(self, resources: Informer, enter: Entry) -> None:
        """`resources`: the cluster's Submariner resource, in which both are stored."""
        self.resources = resources
        self._enter = enter
        self._answers: dict[tuple[str, str], bool] = {}

    async def is_granted(self) -> bool:
        spec: Object = next((item["spec"] for item in self.resources.cache.values()), {})
        stored = spec.get("brokerK8sApiServerToken") or "", spec.get("brokerK8sCA") or ""
        if stored not in self._answers:
            self._answers[stored] = await self._enter(*stored)
        return self._answers[stored]


def entry(url: str) -> Entry:
    """By a request to the broker's API at `url`."""

    async def enter(token: str, authority: str) -> bool:
        try:
            api = KubeApi(url, token, base64.b64decode(authority))
        except (ValueError, OSError) as error:
            log.warning("broker: the stored authority is none: %s", error)
            return False
        try:
            await api.get("/api")
        except LabError as error:
            log.warning("broker: %s", error)
            return False
        finally:
            await api.close()
        return True

    return enter
