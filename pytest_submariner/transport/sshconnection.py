"""An SSH connection as an ssh_config describes it: keys, known hosts, jumps. Refusals are one line that says what to
do."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import paramiko

from pytest_submariner.errors import NodeUnreachable, TopologyError, TransportError
from pytest_submariner.kube.errors import AccessDenied

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 15
DEAD_AFTER_MS = 30_000
"""TCP_USER_TIMEOUT: paramiko's keepalives ask for no answer, so it is the kernel that notices a peer that is gone."""
_MAX_JUMPS = 8


@dataclass(frozen=True)
class Host:
    """What an ssh_config says about one Host name."""

    alias: str
    hostname: str
    port: int
    user: str | None
    identities: tuple[str, ...]
    identities_only: bool
    known_hosts: tuple[Path, ...]
    strict: bool
    jumps: tuple[str, ...]
    proxy_command: str | None
    timeout: float

    @property
    def address(self) -> str:
        return f"{self.hostname} port {self.port}"


class SshConfig:
    """An ssh_config file. TopologyError in one line when it cannot be read or parsed."""

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()
        try:
            self._config = paramiko.SSHConfig.from_path(str(self.path))
        except OSError as error:
            raise TopologyError(f"ssh_config {self.path} cannot be read: {error.strerror}") from None
        except (paramiko.ssh_exception.ConfigParseError, UnicodeDecodeError) as error:
            raise TopologyError(f"ssh_config {self.path} is not an ssh_config: {error}") from None

    def names(self, alias: str) -> bool:
        """Whether a Host line means `alias`; `Host *`, which means everything, does not count."""
        return any(pattern != "*" and fnmatch(alias, pattern) for pattern in self._config.get_hostnames())

    def host(self, alias: str) -> Host:
        """What applies to `alias`, with the defaults of ssh_config(5)."""
        found: dict[str, Any] = dict(self._config.lookup(alias))
        jump = str(found.get("proxyjump", "none"))
        known = str(found.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"))
        known += " " + str(found.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts"))
        return Host(
            alias=alias,
            hostname=str(found.get("hostname", alias)),
            port=int(found.get("port", 22)),
            user=found.get("user"),
            identities=tuple(str(Path(i).expanduser()) for i in found.get("identityfile", ())),
            identities_only=str(found.get("identitiesonly", "no")).lower() == "yes",
            known_hosts=tuple(Path(word).expanduser() for word in known.split()),
            # Unless told otherwise an unknown key is refused; nobody is there to be asked.
            strict=str(found.get("stricthostkeychecking", "yes")).lower() not in {"no", "off", "accept-new"},
            jumps=tuple(part.strip() for part in jump.split(",")) if jump.lower() != "none" else (),
            proxy_command=None if str(found.get("proxycommand", "none")).lower() == "none" else found["proxycommand"],
            timeout=float(found.get("connecttimeout", CONNECT_TIMEOUT_S)),
        )


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
