"""Kubeconfig entries with nothing to run or refresh in them (certificates, a token, a token file), read without the `kubernetes` package.

That package costs a quarter of a second to import, as much as all of a small run's probes; entries with credential plugins,
passwords or proxies are its business (`kubeconfig.py`).
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_CLUSTER: Final = frozenset(
    {
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "insecure-skip-tls-verify",
        "tls-server-name",
        "extensions",
    }
)
_USER: Final = frozenset(
    {
        "token",
        "tokenFile",
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "extensions",
    }
)


@dataclass(frozen=True)
class PlainConfiguration:
    """What `kube/` reads of a configuration, in the names of the `kubernetes` package's one; `tls` is None for http."""

    host: str
    tls: ssl.SSLContext | None = field(repr=False)
    verify_ssl: bool = True
    tls_server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    proxy: str | None = None

    def auth_settings(self) -> dict[str, dict[str, str]]:
        """A token file is read every time: whoever wrote it renews it."""
        token = self.token
        if self.token_file is not None:
            token = self.token_file.read_text(encoding="utf-8").strip()
        return {"BearerToken": {"value": f"Bearer {token}"}} if token else {}


def read(documents: Iterable[tuple[Path, Mapping[str, Any]]], context: str) -> PlainConfiguration | None:
    """The configuration of a context; None when any part of it is not plain, missing or wrong: the `kubernetes` package
    has to read it then, or to say what is wrong with it. Of entries with the same name the first counts, as with kubectl."""
    files = list(documents)
    try:
        chosen = _entry(files, "contexts", "context", context)[1]
        beside_cluster, cluster = _entry(files, "clusters", "cluster", chosen["cluster"])
        beside_user, user = _entry(files, "users", "user", chosen["user"])
        if set(cluster) - _CLUSTER or set(user) - _USER:
            return None
        server = str(cluster["server"]).rstrip("/")
        verify = not cluster.get("insecure-skip-tls-verify")
        tls = None
        if server.startswith("https://"):
            authority = _content(cluster, "certificate-authority", beside_cluster)
            certificate = _content(user, "client-certificate", beside_user)
            key = _content(user, "client-key", beside_user)
            if bool(certificate) != bool(key):
                return None
            tls = _tls(authority, certificate, key, verify=verify)
        elif not server.startswith("http://"):
            return None
        token_file = beside_user / user["tokenFile"] if user.get("tokenFile") else None
        if token_file is not None:
            token_file.read_text(encoding="utf-8")
        return PlainConfiguration(
            server, tls, verify, cluster.get("tls-server-name"), _text(user.get("token")), token_file
        )
    except (KeyError, TypeError, ValueError, OSError, binascii.Error):  # ssl.SSLError is an OSError
        return None


def _entry(
    files: Iterable[tuple[Path, Mapping[str, Any]]], kind: str, noun: str, name: str
) -> tuple[Path, Mapping[str, Any]]:
    """The folder its relative paths start from, and the entry. KeyError when there is none."""
    for path, document in files:
        for entry in document.get(kind) or ():
            if entry["name"] == name:
                return path.resolve().parent, entry[noun] or {}
    raise KeyError(name)


def _content(entry: Mapping[str, Any], name: str, folder: Path) -> bytes:
    """Inline data goes before a file (kubernetes:client-go/tools/clientcmd/api)."""
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"], validate=True)
    return (folder / entry[name]).read_bytes() if entry.get(name) else b""


def _text(token: Any) -> str | None:
    if token is not None and not isinstance(token, str):
        raise TypeError("a token is text")
    return token


def _tls(authority: bytes, certificate: bytes, key: bytes, *, verify: bool) -> ssl.SSLContext:
    """One for all connections to the server. Without an authority of its own, the machine's certificates count."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    else:
        context.load_default_certs()
    if certificate:
        fd, name = tempfile.mkstemp(prefix="submariner-")  # mode 0600; OpenSSL's only way in is a file
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(certificate + b"\n" + key)
            context.load_cert_chain(name, password=_no_password)
        finally:
            Path(name).unlink()
    return context


def _no_password() -> str:
    """OpenSSL would ask on the terminal."""
    raise ValueError("the key needs a password")
