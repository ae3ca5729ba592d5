"""Which of a cluster's gateways is active: whoever holds the lease, by the rules of client-go's leader election
(submariner:pkg/gateway/gateway.go, client-go:tools/leaderelection)."""

from __future__ import annotations

import time
from typing import Any

from pytest_submariner.lab.submariner.client import ApiClient, ApiFailure
from pytest_submariner.lab.submariner.objects import LEASE_NAME, LEASE_SECONDS, lease, micro_time

Object = dict[str, Any]
_COLLECTION = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


class Election:
    """One gateway's part in it. A lease is not given back by a gateway that stops: the next one waits until it has expired."""

    def __init__(self, namespace: str, hostname: str) -> None:
        self._collection = _COLLECTION.format(namespace=namespace)
        self._hostname = hostname
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0

    def contend(self, api: ApiClient) -> bool:
        """Renews the lease or takes one that is nobody's any more; whether it is ours now. ApiFailure when the API does not say."""
        path = f"{self._collection}/{LEASE_NAME}"
        stored = api.get(path)
        try:
            if stored is None:
                api.create(self._collection, lease(self._hostname))
            elif self._is_ours(stored["spec"]) or self._has_expired(stored["spec"]):
                api.replace(path, {**stored, "spec": self._renewed(stored["spec"])})
            else:
                return False
        except ApiFailure as failure:
            if failure.status == 409:  # another one was quicker
                return False
            raise
        return True

    def _is_ours(self, spec: Object) -> bool:
        ours: str = lease(self._hostname)["spec"]["holderIdentity"]
        return bool(spec.get("holderIdentity") == ours)

    def _has_expired(self, spec: Object) -> bool:
        """Counted from when this gateway saw the last renewal, so that no clocks are compared."""
        seen = (spec.get("holderIdentity") or "", spec.get("renewTime") or "")
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        return not seen[0] or time.monotonic() - self._seen_at > (spec.get("leaseDurationSeconds") or LEASE_SECONDS)

    def _renewed(self, spec: Object) -> Object:
        if self._is_ours(spec):
            return {**spec, "renewTime": micro_time()}
        transitions = (spec.get("leaseTransitions") or 0) + 1
        return {**lease(self._hostname)["spec"], "leaseTransitions": transitions}
