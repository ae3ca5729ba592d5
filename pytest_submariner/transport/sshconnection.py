"""An SSH connection: keys, known hosts, jumps. Refusals are one line that says what to do."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import paramiko

from pytest_submariner.errors import NodeUnreachable, TransportError
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.transport.sshconfig import Host, SshConfig

KEEPALIVE_S = 15
DEAD_AFTER_MS = 30_000
"""TCP_USER_TIMEOUT: paramiko's keepalives ask for no answer, so it is the kernel that notices a peer that is gone."""
_MAX_JUMPS = 8


class Connection:
    """An authenticated connection to one host, through its jumps. `accepted` lists host keys taken on trust
    (accept-new)."""

    def __init__(self, config: SshConfig, host: Host, *, depth: int = 0) -> None:
        if depth > _MAX_JUMPS:
            raise NodeUnreachable(f"{config.path}: ProxyJump of {host.alias} leads in a circle")
        self.host = host
        self.accepted: list[str] = []
        self._hops: list[Connection] = []
        self.client = paramiko.SSHClient()
        try:
            sock = self._through(config, depth)
            self._authenticate(sock)
        except BaseException:
            self.close()
            raise
        transport = self.client.get_transport()
        if transport is None:
            raise NodeUnreachable(f"{self.host.alias} ({self.host.address}) ended the connection at once")
        transport.set_keepalive(KEEPALIVE_S)
        self.transport = transport

    @property
    def is_alive(self) -> bool:
        return self.transport.is_active()

    def close(self) -> None:
        self.client.close()
        for hop in reversed(self._hops):
            hop.close()

    def _through(self, config: SshConfig, depth: int) -> Any:
        """A socket, or what looks like one, to the host."""
        host = self.host
        if host.proxy_command and not host.jumps:
            return paramiko.ProxyCommand(host.proxy_command)
        if not host.jumps:
            return _tcp(host)
        # The last jump is the one next to the host; jumps before it come from our side, as in ssh(1).
        hop = _jump(config, host.jumps, depth)
        self._hops.append(hop)
        try:
            return hop.transport.open_channel(
                "direct-tcpip", (host.hostname, host.port), ("127.0.0.1", 0), timeout=host.timeout
            )
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise NodeUnreachable(
                f"{host.alias}: {hop.host.alias} cannot reach {host.address}: {_words(error)}"
            ) from None

    def _authenticate(self, sock: Any) -> None:
        host = self.host
        for path in host.known_hosts:
            if path.is_file():
                self.client.load_system_host_keys(str(path))
        self.client.set_missing_host_key_policy(_Refuse(host) if host.strict else _AcceptNew(self.accepted))
        where = f"{host.alias} ({host.address})"
        keys: Any = list(host.identities) or None  # a list is fine, whatever the annotation says
        try:
            self.client.connect(
                host.hostname,
                host.port,
                host.user,
                key_filename=keys,
                sock=sock,
                timeout=host.timeout,
                banner_timeout=host.timeout,
                auth_timeout=host.timeout,
                channel_timeout=host.timeout,
                allow_agent=not host.identities_only,
                look_for_keys=not host.identities and not host.identities_only,
            )
        except TransportError:
            raise
        except paramiko.BadHostKeyException as error:
            raise AccessDenied(
                f"{where} shows another host key than known_hosts has ({_fingerprint(error.key)}): was it reinstalled, "
                f"or is it another machine? If it is right, remove the old key: ssh-keygen -R {_known_name(host)}"
            ) from None
        except paramiko.PasswordRequiredException:
            keys = ", ".join(host.identities) or "a default key"
            raise AccessDenied(f"{where}: {keys} has a passphrase: load it with ssh-add first") from None
        except paramiko.AuthenticationException:
            tried = ", ".join(host.identities) or ("the agent's keys" if not host.identities_only else "no key")
            raise AccessDenied(f"{where} does not let {host.user or 'this user'} in with {tried}") from None
        except paramiko.ssh_exception.IncompatiblePeer as error:
            raise AccessDenied(
                f"{where} has only algorithms that paramiko {paramiko.__version__} no longer speaks "
                f"({_words(error)}): update its sshd"
            ) from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise NodeUnreachable(f"{where} cannot be reached by ssh: {_words(error)}") from None


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Unknown keys are refused, with what to do about it."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        host = self._host
        file = host.known_hosts[0] if host.known_hosts else "known_hosts"
        raise AccessDenied(
            f"{host.alias} ({host.address}) has a host key that {file} does not know ({_fingerprint(key)}): compare it "
            f"with the node's own, then add it: ssh-keyscan -p {host.port} {host.hostname} >> {file}"
        )


class _AcceptNew(paramiko.MissingHostKeyPolicy):
    """StrictHostKeyChecking accept-new: taken for this run and noted, never written to the user's file."""

    def __init__(self, accepted: list[str]) -> None:
        self._accepted = accepted

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        client.get_host_keys().add(hostname, key.get_name(), key)
        self._accepted.append(f"{hostname} {_fingerprint(key)}")


def _jump(config: SshConfig, jumps: tuple[str, ...], depth: int) -> Connection:
    """The connection to the last of `jumps`, through those before it. A jump may be `user@host:port`."""
    user, _, rest = jumps[-1].rpartition("@")
    name, _, port = rest.partition(":")
    found = config.host(name)
    hop = replace(
        found, user=user or found.user, port=int(port) if port else found.port, jumps=jumps[:-1] or found.jumps
    )
    return Connection(config, hop, depth=depth + 1)


def _tcp(host: Host) -> socket.socket:
    try:
        sock = socket.create_connection((host.hostname, host.port), timeout=host.timeout)
    except OSError as error:
        raise NodeUnreachable(f"{host.alias} ({host.address}) cannot be reached: {_words(error)}") from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)
    return sock


def _known_name(host: Host) -> str:
    """As known_hosts spells a host: with its port in brackets unless it is 22."""
    return host.hostname if host.port == 22 else f"'[{host.hostname}]:{host.port}'"


def _fingerprint(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"


def _words(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip() or type(error).__name__
