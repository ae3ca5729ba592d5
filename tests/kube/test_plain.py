"""Kubeconfigs that need no package to be read: what is plain, what is left to others, and what TLS it gives."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_submariner.kube import plain
from pytest_submariner.kube.kubeconfig import open_access
from pytest_submariner.kube.websocket import _tls
from pytest_submariner.lab.credentials import Credentials
from pytest_submariner.lab.spec import LabSpec

CREDENTIALS = Credentials.generate(LabSpec.make("plain"))
CA = base64.b64encode(CREDENTIALS.authority.ca_pem).decode()


def document(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "clusters": [{"name": "k", "cluster": {"server": "https://api:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": "secret"} if user is None else user}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    }


def read(given: dict[str, Any], folder: Path = Path("/nowhere")) -> plain.PlainConfiguration | None:
    return plain.read([(folder / "config", given)], "c")


def test_authority_and_token() -> None:
    found = read(document({"certificate-authority-data": CA, "tls-server-name": "other"}))
    assert found is not None
    assert found.tls is not None
    assert (found.host, found.tls_server_name, len(found.tls.get_ca_certs())) == ("https://api:6443", "other", 1)
    assert (found.tls.verify_mode, found.tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert found.auth_settings() == {"BearerToken": {"value": "Bearer secret"}}
    assert "secret" not in repr(found)


def test_without_verification() -> None:
    found = read(document({"insecure-skip-tls-verify": True, "certificate-authority-data": CA}))
    assert found is not None
    assert found.tls is not None
    assert (found.tls.verify_mode, found.tls.check_hostname) == (ssl.CERT_NONE, False)


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    authority = CREDENTIALS.authority
    (tmp_path / "ca.pem").write_bytes(authority.ca_pem)
    (tmp_path / "cert.pem").write_bytes(authority.certificate_pem)
    (tmp_path / "key.pem").write_bytes(authority.key_pem)
    user = {"client-certificate": "cert.pem", "client-key": "key.pem", "tokenFile": "token"}
    (tmp_path / "token").write_text("first\n")
    found = read(document({"certificate-authority": "ca.pem"}, user), tmp_path)
    assert found is not None
    assert found.auth_settings()["BearerToken"]["value"] == "Bearer first"
    (tmp_path / "token").write_text("renewed\n")
    assert found.auth_settings()["BearerToken"]["value"] == "Bearer renewed"


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({"proxy-url": "http://proxy:3128"}, None),
        ({}, {"exec": {"command": "aws"}}),
        ({}, {"auth-provider": {"name": "oidc"}}),
        ({}, {"username": "a", "password": "b"}),
        ({}, {"token": 7}),
        ({}, {"tokenFile": "missing"}),
        ({}, {"client-certificate-data": CA}),
        ({"certificate-authority-data": "%%%"}, None),
        ({"certificate-authority-data": base64.b64encode(b"no certificate").decode()}, None),
        ({"certificate-authority": "missing"}, None),
        ({"server": "api:6443"}, None),
    ],
)
def test_what_is_not_plain_or_wrong_is_left_to_the_package(
    cluster: dict[str, Any], user: dict[str, Any] | None
) -> None:
    assert read(document(cluster, user)) is None


def test_the_first_of_two_entries_with_one_name_counts() -> None:
    second = document()
    second["clusters"][0]["cluster"]["server"] = "https://second:6443"
    found = plain.read([(Path("/a"), document()), (Path("/b"), second)], "c")
    assert found is not None
    assert found.host == "https://api:6443"


def test_exec_streams_use_the_same_tls(write_kubeconfig: Callable[..., Path]) -> None:
    access = open_access(str(write_kubeconfig("config", {"c1": "https://127.0.0.1:6443"})), "c1")
    assert isinstance(access.configuration, plain.PlainConfiguration)
    assert _tls(access.configuration)["context"] is access.configuration.tls
