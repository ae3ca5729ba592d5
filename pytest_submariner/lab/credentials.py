"""Keys of a lab, made anew at every boot: a CA and a server certificate, a bearer token, SSH host and user keys."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pytest_submariner.lab.spec import UNDERLAY_GATEWAY, LabSpec

ADMIN = "submariner-lab-admin"
"""Who the kubeconfig's token is to the API servers: everything is allowed."""


@dataclass(frozen=True)
class SshKey:
    """An ed25519 pair in OpenSSH's formats; `public` is `ssh-ed25519 AAAA…` without a comment."""

    private: bytes
    public: str

    @classmethod
    def generate(cls) -> SshKey:
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return cls(private, public.decode())


@dataclass(frozen=True)
class Authority:
    """The lab's CA and the one server certificate that all its API servers show."""

    ca_pem: bytes
    certificate_pem: bytes
    key_pem: bytes

    @classmethod
    def generate(cls, lab: str) -> Authority:
        ca_key, ca_name = ec.generate_private_key(ec.SECP256R1()), _name(f"submariner-lab {lab}")
        ca = _certificate(ca_name, ca_name, ca_key.public_key(), ca_key, ca=True)
        key = ec.generate_private_key(ec.SECP256R1())
        server = _certificate(_name("kube-apiserver"), ca_name, key.public_key(), ca_key, ca=False)
        pem = serialization.Encoding.PEM
        return cls(
            ca.public_bytes(pem),
            server.public_bytes(pem),
            key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()),
        )

    def server_context(self) -> ssl.SSLContext:
        """TLS without ALPN, so that Go clients stay with HTTP/1.1 and upgrades work."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.certificate_pem + self.key_pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(_key_usage(ca), critical=True)
    )
    if not ca:
        addresses = [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ("127.0.0.1", UNDERLAY_GATEWAY)]
        names = [x509.DNSName(n) for n in ("localhost", "kubernetes", "kubernetes.default.svc")]
        builder = builder.add_extension(x509.SubjectAlternativeName([*addresses, *names]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


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
