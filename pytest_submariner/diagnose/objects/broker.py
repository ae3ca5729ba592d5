"""What the broker holds, read with the credentials a cluster has for it; these never leave this module.

The operator's Submariner names a secret (`brokerK8sSecret`: `token`, `ca.crt`), older ones hold token and authority themselves
(submariner-operator:api/v1alpha1/submariner_types.go, admiral:pkg/syncer/broker/config.go)."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from pytest_submariner.diagnose.objects.clusterobjects import BrokerProblem, Object
from pytest_submariner.diagnose.objects.redaction import lean
from pytest_submariner.errors import SubmarinerError
from pytest_submariner.kube.account import Account, Untrusted
from pytest_submariner.kube.errors import AccessDenied

_DIGEST_KEY = secrets.token_bytes(32)
"""Of this process: digests can be compared within it, and guessed by nobody who reads them later."""


class SecretReader(Protocol):
    """The part of `kube.client.KubeClient` needed here."""

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> dict[str, Any] | None: ...


@dataclass(frozen=True)
class BrokerCopy:
    """See the fields of `ClusterObjects`."""

    found: dict[str, tuple[Object, ...]] | None = None
    problem: BrokerProblem = BrokerProblem.NONE
    error: str = ""


def read_broker(kube: SecretReader, installations: Sequence[Object]) -> BrokerCopy:
    """`installations`: objects of kind Submariner as the API gives them, with their credentials."""
    if not installations:
        return BrokerCopy(problem=BrokerProblem.UNKNOWN, error="no Submariner object says where the broker is")
    spec = installations[0].get("spec") or {}
    if not spec.get("brokerK8sApiServer"):
        return BrokerCopy(problem=BrokerProblem.UNKNOWN, error="the Submariner object names no broker")
    try:
        account = _account(kube, spec, installations[0]["metadata"].get("namespace", ""))
    except SubmarinerError as error:
        return BrokerCopy(problem=BrokerProblem.UNKNOWN, error=str(error))
    except (binascii.Error, ValueError):
        return BrokerCopy(problem=BrokerProblem.CERTIFICATE, error="the credentials on record are not readable as such")
    if not account.token:
        return BrokerCopy(problem=BrokerProblem.UNKNOWN, error="no token for the broker is on record")
    namespace = spec.get("brokerK8sRemoteNamespace") or "submariner-k8s-broker"
    try:
        found = {
            kind: tuple(lean(item) for item in account.list(f"{kind}.submariner.io", namespace))
            for kind in ("endpoints", "clusters")
        }
    except Untrusted as error:
        return BrokerCopy(problem=BrokerProblem.CERTIFICATE, error=str(error))
    except AccessDenied as error:
        return BrokerCopy(problem=BrokerProblem.CREDENTIALS, error=f"{error}{_lifetime(account.token)}")
    except SubmarinerError as error:
        return BrokerCopy(problem=BrokerProblem.UNREACHABLE, error=str(error))
    return BrokerCopy(found)


def psk_digest(kube: SecretReader, installations: Sequence[Object]) -> str:
    """Of the pre-shared key, which the spec holds in Base64 as the API gives that of the secret; "" when there is none or it
    may not be read."""
    if not installations:
        return ""
    spec = installations[0].get("spec") or {}
    key = spec.get("ceIPSecPSK") or ""
    if name := spec.get("ceIPSecPSKSecret"):
        try:
            held = kube.get("secrets", name, namespace=installations[0]["metadata"].get("namespace", ""))
        except SubmarinerError:
            return ""
        key = ((held or {}).get("data") or {}).get("psk") or key
    return hmac.digest(_DIGEST_KEY, str(key).encode(), "sha256").hex()[:32] if key else ""


def _lifetime(token: str) -> str:
    """`; the token expired on …` for a JWT (RFC 7519) that has; the broker is the one to check its signature."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires = datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, OSError):
        return ""
    return f"; the token expired on {expires:%Y-%m-%d %H:%M} UTC" if expires < datetime.now(UTC) else ""


def _account(kube: SecretReader, spec: Object, namespace: str) -> Account:
    token, ca = spec.get("brokerK8sApiServerToken") or "", spec.get("brokerK8sCA") or ""
    if name := spec.get("brokerK8sSecret"):
        held = (kube.get("secrets", name, namespace=namespace) or {}).get("data") or {}
        token = base64.b64decode(held.get("token") or "").decode("ascii") or token
        ca = held.get("ca.crt") or ca
    return Account(
        f"https://{str(spec['brokerK8sApiServer']).removeprefix('https://')}",
        str(token).strip(),
        base64.b64decode(ca) or None,
        bool(spec.get("brokerK8sInsecure")),
    )
