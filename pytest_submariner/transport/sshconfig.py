"""What an ssh_config says about hosts, with the defaults of ssh_config(5)."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import paramiko

from pytest_submariner.errors import TopologyError

CONNECT_TIMEOUT_S = 10.0


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
