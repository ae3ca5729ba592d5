"""A WebSocket with Kubernetes channels on it (kubernetes:pkg/util/remotecommand: v4.channel.k8s.io, v5.channel.k8s.io).

Our own loop instead of `kubernetes.stream`, because that one replaces a method on a shared client during the call (two
threads corrupt each other), has no timeout for connecting, and blocks in a write while the other side waits for us to
read.
"""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from websocket import ABNF, WebSocket, WebSocketConnectionClosedException

if TYPE_CHECKING:
    from pytest_submariner.kube.kubeconfig import Access

STDIN, STDOUT, STDERR, ERROR = 0, 1, 2, 3
CLOSE = 255
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
CHUNK = 32 * 1024
PING_S = 15.0
"""Proxies cut streams on which nothing moves; a ping moves something."""
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ChannelSocket:
    """An open exec stream, for one thread. `protocol` is what was negotiated; `closed` turns true when the other side
    is gone.

    Constructor: raises what `websocket` raises (WebSocketBadStatusException for an HTTP answer, OSError, timeouts).
    """

    def __init__(self, access: Access, path: str, query: Sequence[tuple[str, str]], connect_timeout: float) -> None:
        server = urlsplit(access.server)
        url = f"{'wss' if server.scheme == 'https' else 'ws'}://{server.netloc}{server.path}{path}?{urlencode(query)}"
        headers = {**access.headers(), "Sec-WebSocket-Protocol": f"{V5},{V4}", "User-Agent": "pytest-submariner"}
        self._ws = _open(url, headers, access.configuration, connect_timeout)
        answered = {k.lower(): v for k, v in (self._ws.getheaders() or {}).items()}
        self.protocol: str = answered.get("sec-websocket-protocol", V4)
        self.closed = False
        self._socket = self._ws.sock
        self._socket.settimeout(0)
        self._frames: deque[bytes] = deque()
        self._out = bytearray()
        self._channel = -1
        self._last_sent = time.monotonic()

    @property
    def can_end_stdin(self) -> bool:
        return self.protocol == V5

    def send(self, channel: int, data: bytes) -> None:
        """Queue bytes; `pump` carries them out while it reads."""
        for start in range(0, len(data), CHUNK):
            self._queue(bytes([channel]) + data[start : start + CHUNK], ABNF.OPCODE_BINARY)

    def end_stdin(self) -> None:
        """Tell the command that nothing follows (v5 only)."""
        if self.can_end_stdin:
            self._queue(bytes([CLOSE, STDIN]), ABNF.OPCODE_BINARY)

    def pump(self, timeout: float) -> list[tuple[int, bytes]]:
        """Move bytes both ways, waiting at most `timeout` seconds for something to happen; what came in, as (channel,
        bytes)."""
        if self.closed:
            return []
        if time.monotonic() - self._last_sent > PING_S:
            self._queue(b"", ABNF.OPCODE_PING)
        self._write()
        if not self._has_buffered():
            poll = select.poll()
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._out or self._frames else 0))
            wait = min(timeout, PING_S)
            if not poll.poll(max(0.0, wait) * 1000):
                return []
        self._write()
        return self._read()

    def close(self) -> None:
        """Say goodbye without waiting for the answer, and let go of the connection."""
        if not self.closed:
            self._queue((1000).to_bytes(2, "big"), ABNF.OPCODE_CLOSE)
            self._write()
        self.closed = True
        self._ws.shutdown()

    def _read(self) -> list[tuple[int, bytes]]:
        """Every whole frame that is there; a partial one stays in the parser."""
        received: list[tuple[int, bytes]] = []
        while True:
            try:
                frame = self._ws.frame_buffer.recv_frame()
            except _NOTHING_YET:
                return received
            except (WebSocketConnectionClosedException, OSError, ValueError):
                self.closed = True
                return received
            if frame.opcode == ABNF.OPCODE_CLOSE:
                self.closed = True
                return received
            if frame.opcode == ABNF.OPCODE_PING:
                self._queue(frame.data, ABNF.OPCODE_PONG)
            elif frame.opcode in {ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT, ABNF.OPCODE_CONT}:
                data = frame.data
                if frame.opcode != ABNF.OPCODE_CONT:  # a continuation belongs to the channel of its first frame
                    if not data:
                        continue
                    self._channel, data = data[0], data[1:]
                if data and self._channel != CLOSE:
                    received.append((self._channel, data))

    def _write(self) -> None:
        try:
            while self._out or self._frames:
                if not self._out:
                    self._out += self._frames.popleft()
                sent = self._socket.send(self._out)
                del self._out[:sent]
        except _NOTHING_YET:
            return
        except OSError:
            self._out.clear()
            self._frames.clear()  # the reader meets the end of the stream, with what the other side said before it

    def _queue(self, data: bytes, opcode: int) -> None:
        self._frames.append(ABNF.create_frame(data, opcode).format())
        self._last_sent = time.monotonic()

    def _has_buffered(self) -> bool:
        """TLS decrypts whole records: frames may wait inside the TLS layer where poll() does not see them."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0


def _open(url: str, headers: dict[str, str], configuration: Any, timeout: float) -> Any:
    """The upgraded connection (websocket-client's own annotations are partial, hence Any)."""
    ws: Any = WebSocket  # the class
    socket = ws(sslopt=_tls(configuration), skip_utf8_validation=True)
    socket.connect(url, header=headers, timeout=timeout, suppress_origin=True, **_proxy(configuration))
    return socket


def _tls(configuration: Any) -> dict[str, Any]:
    """The TLS settings of a configuration, in websocket-client's words."""
    context = getattr(configuration, "tls", None)
    if context is not None:
        name = configuration.tls_server_name
        return {
            "context": context,
            "check_hostname": configuration.verify_ssl,
            **({"server_hostname": name} if name else {}),
        }
    if not configuration.verify_ssl:
        options: dict[str, Any] = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    else:
        options = {"cert_reqs": ssl.CERT_REQUIRED}
        if configuration.ssl_ca_cert:
            options["ca_certs"] = configuration.ssl_ca_cert
        if getattr(configuration, "assert_hostname", None) is not None:
            options["check_hostname"] = bool(configuration.assert_hostname)
    if configuration.cert_file:
        options["certfile"] = configuration.cert_file
    if configuration.key_file:
        options["keyfile"] = configuration.key_file
    if getattr(configuration, "tls_server_name", None):
        options["server_hostname"] = configuration.tls_server_name
    return options


def _proxy(configuration: Any) -> dict[str, Any]:
    """The proxy `kubeconfig.py` decided on. Something has to be said for none as well: else websocket-client asks the
    environment by rules of its own."""
    if not configuration.proxy:
        return {"http_proxy_host": "none", "http_proxy_port": 1, "http_no_proxy": ["*"]}
    proxy = urlsplit(configuration.proxy)
    options: dict[str, Any] = {
        "http_proxy_host": proxy.hostname,
        "http_proxy_port": proxy.port or 80,
        "http_no_proxy": ["none"],
        "proxy_type": "http",
    }
    if proxy.username:
        options["http_proxy_auth"] = (proxy.username, proxy.password or "")
    return options
