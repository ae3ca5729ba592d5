"""Keys of a lab, made anew at every boot: a CA and a server certificate, a bearer token, SSH host and user keys."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from pytest_submariner.lab.spec import LabSpec

ADMIN = "submariner-lab-admin"
"""Who the kubeconfig's token is to the API servers: everything is allowed."""


@dataclass(frozen=True)
class SshKey:
    """An ed25519 pair in OpenSSH's formats; `public` is `ssh-ed25519 AAAA…` without a comment."""

    private: str
    public: str

    @classmethod
    def generate(cls) -> SshKey:
        from pytest_submariner.lab.keys import make_ssh_pair

        return cls(*make_ssh_pair())


@dataclass(frozen=True)
class Authority:
    """The lab's CA and the one server certificate that all its API servers show."""

    ca_pem: bytes
    certificate_pem: bytes
    key_pem: bytes

    @classmethod
    def generate(cls, lab: str) -> Authority:
        from pytest_submariner.lab.keys import make_authority

        return cls(*make_authority(lab))

    def server_context(self) -> ssl.SSLContext:
        """TLS without ALPN, so that Go clients stay with HTTP/1.1 and upgrades work."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.certificate_pem + self.key_pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


@dataclass(frozen=True)
class Credentials:
    """Everything secret of one lab."""

    authority: Authority
    token: str
    user_key: SshKey
    host_key: SshKey

    @classmethod
    def generate(cls, spec: LabSpec) -> Credentials:
        return cls(Authority.generate(spec.name), secrets.token_urlsafe(32), SshKey.generate(), SshKey.generate())

    def to_json(self) -> bytes:
        """For the process that shows them; `from_json` is the inverse."""
        authority = [pem.decode("ascii") for pem in astuple(self.authority)]
        ssh = [[key.private, key.public] for key in (self.user_key, self.host_key)]
        return json.dumps({"authority": authority, "token": self.token, "ssh": ssh}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Credentials:
        data = json.loads(text)
        authority = Authority(*(pem.encode("ascii") for pem in data["authority"]))
        return cls(authority, data["token"], *(SshKey(*pair) for pair in data["ssh"]))

    def kubeconfig(self, spec: LabSpec, ports: dict[str, int]) -> dict[str, Any]:
        """One context per cluster, named like it; `ports` are the API's on 127.0.0.1."""
        user = f"submariner-lab-{spec.name}"
        ca = base64.b64encode(self.authority.ca_pem).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": spec.clusters[0].name,
            "clusters": [
                {
                    "name": c.name,
                    "cluster": {"server": f"https://127.0.0.1:{ports[c.name]}", "certificate-authority-data": ca},
                }
                for c in spec.clusters
            ],
            "users": [{"name": user, "user": {"token": self.token}}],
            "contexts": [{"name": c.name, "context": {"cluster": c.name, "user": user}} for c in spec.clusters],
        }


def write_private(folder: Path, name: str, content: bytes) -> Path:
    """A file only its owner can read, as sshd and ssh demand of keys."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
