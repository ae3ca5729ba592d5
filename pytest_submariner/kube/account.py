"""Reading another API server with a token and a certificate authority that were found in a cluster, such as the broker's.

Unlike `rest.py` it asks once and waits briefly: that the server cannot be reached from here says nothing about the cluster, and
a diagnosis must not hang on it."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import Any

from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.kube import resources
from pytest_submariner.kube.errors import AccessDenied, ApiError

TIMEOUT_S = 2.0
PAGE = 500


class Untrusted(NodeUnreachable):
    """The TLS handshake failed: another certificate authority, an expired certificate or one that is not valid yet."""


@dataclass(frozen=True)
class Account:
    """`server` is `https://host:port`; `ca_pem` None means the machine's own authorities, `insecure` that nobody checks."""

    server: str
    token: str = field(repr=False)
    ca_pem: bytes | None = field(default=None, repr=False)
    insecure: bool = False

    def list(self, resource: str, namespace: str) -> tuple[dict[str, Any], ...]:
        """The first 500 objects of a kind of `resources.KNOWN`. Errors: Untrusted, AccessDenied (401, 403), ApiError, NodeUnreachable;
        their messages never hold the token."""
        import urllib3

        path = f"{resources.KNOWN[resource].path(namespace)}?limit={PAGE}"
        headers = {
            "Accept": "application/json",
            "User-Agent": "pytest-submariner",
            "Authorization": f"Bearer {self.token}",
        }
        try:
            with urllib3.PoolManager(num_pools=1, ssl_context=self._tls()) as pool:
                answer = pool.request(
                    "GET", self.server + path, headers=headers, timeout=urllib3.Timeout(TIMEOUT_S), retries=False
                )
        except urllib3.exceptions.SSLError as error:
            raise Untrusted(f"{self.server}: {_reason(error)}") from None
        except (ssl.SSLError, ValueError) as error:
            raise Untrusted(f"{self.server}: the certificate authority on record is none: {error}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NodeUnreachable(f"{self.server} cannot be reached from here: {_reason(error)}") from None
        if answer.status in {401, 403}:
            raise AccessDenied(f"{self.server} answers {answer.status} to the token on record: {_message(answer.data)}")
        if answer.status >= 400:
            raise ApiError(f"{self.server}: GET {path}: {answer.status} {_message(answer.data)}", answer.status)
        try:
            return tuple(json.loads(answer.data).get("items") or ())
        except (ValueError, AttributeError):
            raise ApiError(f"{self.server}: GET {path}: the answer is no list", answer.status) from None

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_pem:
            context.load_verify_locations(cadata=self.ca_pem.decode("ascii"))
        else:
            context.load_default_certs()
        return context


def _reason(error: BaseException) -> str:
    """OpenSSL's or the kernel's words, without the objects urllib3 prints around them."""
    text = str(error)
    for start in ("certificate verify failed: ", "[SSL: "):
        if start in text:
            return text[text.index(start) :].split(" (_ssl", 1)[0].rstrip(")'")
    if "timed out" in text:
        return f"no answer within {TIMEOUT_S:.0f} s"
    return text.rsplit(": ", 1)[-1].rstrip(")'") or type(error).__name__


def _message(data: bytes) -> str:
    try:
        document = json.loads(data)
    except ValueError:
        return "without a reason"
    return str(document.get("message") or "without a reason") if isinstance(document, dict) else "without a reason"
