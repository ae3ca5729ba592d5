"""From a kubeconfig and a context to an authenticated connection: where to, with which certificates, by which
credentials."""

from __future__ import annotations

import difflib
import ipaddress
import os
import threading
import urllib.request
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_submariner.errors import TopologyError
from pytest_submariner.kube import plain

if TYPE_CHECKING:
    import urllib3

POOL_SIZE = 64
"""Connections kept per cluster: at least as many as threads that ask at once."""


@dataclass(frozen=True)
class Access:
    """An authenticated way to one API server. `configuration` is the `kubernetes` package's, or a PlainConfiguration;
    `origin` says where it came from (`context c1 of /path/kubeconfig`) and starts every error message."""

    context: str
    server: str
    origin: str
    configuration: Any = field(repr=False)
    pool: urllib3.PoolManager = field(repr=False)
    _refresh: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def headers(self) -> dict[str, str]:
        """The Authorization header, if any; runs the kubeconfig's credential plugin when the token has expired."""
        with self._refresh:
            settings = self.configuration.auth_settings()
        token = settings.get("BearerToken", {}).get("value")
        return {"Authorization": token} if token else {}


@dataclass(frozen=True)
class Choice:
    """A context in kubeconfig files, found by reading them alone: nothing was imported and no cluster asked."""

    paths: tuple[Path, ...]
    context: str

    @property
    def origin(self) -> str:
        return f"context {self.context} of {', '.join(map(str, self.paths))}"


def choose(kubeconfig: str | None, context: str | None) -> Choice:
    """Which context of which files is meant, with the arguments and errors of `open_access`."""
    paths = _paths(kubeconfig)
    documents = [_read(path) for path in paths]
    where = ", ".join(str(path) for path in paths)
    known = list(dict.fromkeys(name for document in documents for name in _contexts(document)))
    # kubectl takes current-context from the first file that has one; the Python package would take the last.
    chosen = context or next((c for c in (d.get("current-context") for d in documents) if c), None)
    if not chosen:
        raise TopologyError(f"kubeconfig {where} has no current context: name one of {_listing(known)}")
    if chosen not in known:
        close = difflib.get_close_matches(chosen, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise TopologyError(f"kubeconfig {where} has no context {chosen!r}; it knows {_listing(known)}{hint}")
    return Choice(tuple(paths), chosen)


def open_access(kubeconfig: str | None, context: str | None) -> Access:
    """Read `kubeconfig` (several paths joined by `:` are merged as kubectl does; None means $KUBECONFIG, else
    ~/.kube/config, else the service account of the pod we run in). `context` None means the current one.

    TopologyError in one line for an unreadable file, a file that is no kubeconfig, and a context that is not there.
    """
    if kubeconfig is None and not _default_paths() and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _in_cluster()
    choice = choose(kubeconfig, context)
    chosen, origin = choice.context, choice.origin
    found = plain.read([(path, _read(path)) for path in choice.paths], chosen)
    if found is not None and _environment_proxy(found.host) is None:
        return Access(chosen, found.host, origin, found, _pool(found))

    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config

    configuration = type.__call__(Configuration)  # not a copy of a default some other plugin may have set
    configuration.proxy = None  # what it took from the environment
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            os.pathsep.join(map(str, choice.paths)),
            chosen,
            client_configuration=configuration,
            persist_config=False,  # or refreshed tokens would be written into the user's file
        )
    except (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TopologyError(f"{origin} cannot be used: {_first_line(error)}") from None
    return _access(configuration, chosen, origin)


def _access(configuration: Any, context: str, origin: str) -> Access:
    from kubernetes.client import ApiClient

    server = str(configuration.host).rstrip("/")
    configuration.connection_pool_maxsize = POOL_SIZE
    configuration.proxy = configuration.proxy or _environment_proxy(server)
    configuration.no_proxy = None  # looked at already
    pool = ApiClient(configuration=configuration).rest_client.pool_manager
    return Access(context, server, origin, configuration, pool)


def _pool(configuration: plain.PlainConfiguration) -> urllib3.PoolManager:
    """Retries are `rest.py`'s business."""
    import urllib3

    if configuration.tls is None:
        return urllib3.PoolManager(num_pools=4, maxsize=POOL_SIZE)
    checks: dict[str, Any] = {"cert_reqs": "CERT_REQUIRED"}
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the kubeconfig says so
        checks = {"cert_reqs": "CERT_NONE", "assert_hostname": False}
    if configuration.tls_server_name:
        checks["server_hostname"] = configuration.tls_server_name
    return urllib3.PoolManager(num_pools=4, maxsize=POOL_SIZE, ssl_context=configuration.tls, **checks)


def _environment_proxy(server: str) -> str | None:
    """As kubectl decides (golang.org/x/net/http/httpproxy): never for loopback, whatever NO_PROXY says; the package
    would."""
    url = urlsplit(server)
    host = url.hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if is_loopback or urllib.request.proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return urllib.request.getproxies().get(url.scheme)


def _in_cluster() -> Access:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_incluster_config

    configuration = type.__call__(Configuration)
    configuration.proxy = None
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise TopologyError(
            f"no kubeconfig, and the pod's service account cannot be used: {_first_line(error)}"
        ) from None
    return _access(configuration, "in-cluster", "the pod's service account")


def _default_paths() -> list[Path]:
    return [path for path in _split(os.environ.get("KUBECONFIG") or "~/.kube/config") if path.exists()]


def _paths(kubeconfig: str | None) -> list[Path]:
    """The files to read. Of several, missing ones are passed over, as kubectl does; at least one must exist."""
    source = "kubeconfig" if kubeconfig else "KUBECONFIG" if os.environ.get("KUBECONFIG") else "default kubeconfig"
    candidates = _split(kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config")
    if not candidates:
        raise TopologyError(f"{source} {kubeconfig!r} names no file")
    present = [path for path in candidates if path.exists()]
    if not present:
        raise TopologyError(f"{source} {', '.join(map(str, candidates))}: no such file")
    return present


def _split(text: str) -> list[Path]:
    return [Path(part).expanduser() for part in text.split(os.pathsep) if part]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = _parsed(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TopologyError(f"kubeconfig {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TopologyError(f"kubeconfig {path} is not text") from None
    except _NotYamlError as error:
        raise TopologyError(f"kubeconfig {path} is not YAML{error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("contexts") or [], list):
        raise TopologyError(
            f"kubeconfig {path} is not a kubeconfig: expected a mapping with contexts, clusters and users"
        )
    return document


class _NotYamlError(Exception):
    """Its text names the line, if that is known."""


@lru_cache(maxsize=8)
def _parsed(text: str) -> Any:
    """The same files are read once per cluster and client; parsing costs more than a request. Callers must not change it."""
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        pass  # the slow parser knows the line better
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise _NotYamlError(f" (line {mark.line + 1})" if mark else "") from None


def _contexts(document: dict[str, Any]) -> list[str]:
    return [str(c["name"]) for c in document.get("contexts") or [] if isinstance(c, dict) and "name" in c]


def _listing(names: list[str]) -> str:
    return ", ".join(names) if names else "no context at all"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
