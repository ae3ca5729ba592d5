"""`nc` of the nettest image: the options and the talk of busybox's, as Submariner's end-to-end tests need them.

Client:    nc [-v] [-w SECONDS] HOST PORT
Listener:  nc -l [-v] [-w SECONDS] [-s ADDRESS] -p PORT

Standard input goes to the peer and its end is passed on (the connection is half-closed); the program ends when the peer has
closed its side too. `-w` bounds the wait for a connection and every later silence. Standard library only, Python 3.8.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import sys

CHUNK = 65536


def main() -> int:
    parser = argparse.ArgumentParser(prog="nc", add_help=False)
    parser.add_argument("-l", action="store_true", dest="listen")
    parser.add_argument("-v", action="store_true", dest="verbose")
    parser.add_argument("-n", action="store_true", dest="numeric")
    parser.add_argument("-u", action="store_true", dest="datagrams")
    parser.add_argument("-w", type=float, dest="timeout", default=None)
    parser.add_argument("-p", type=int, dest="port", default=0)
    parser.add_argument("-s", dest="address", default="")
    parser.add_argument("host", nargs="?")
    parser.add_argument("remote_port", nargs="?", type=int)
    options = parser.parse_args()
    try:
        connection = _accept(options) if options.listen else _connect(options)
        with connection:
            return _exchange(connection, options.timeout)
    except (socket.timeout, TimeoutError):
        _say("timeout")
    except OSError as error:
        _say(error.strerror or str(error))
    return 1


def _say(text: str) -> None:
    sys.stderr.write("nc: {}\n".format(text))
    sys.stderr.flush()


def _note(options: argparse.Namespace, text: str) -> None:
    if options.verbose:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _kind(options: argparse.Namespace) -> int:
    return socket.SOCK_DGRAM if options.datagrams else socket.SOCK_STREAM


def _accept(options: argparse.Namespace) -> socket.socket:
    """The first client; a datagram listener is joined to its first sender."""
    listener = socket.socket(socket.AF_INET, _kind(options))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.settimeout(options.timeout)
    listener.bind((options.address, options.port))
    own = listener.getsockname()
    if options.datagrams:
        _note(options, "listening on {}:{} ...".format(*own))
        _, peer = listener.recvfrom(1, socket.MSG_PEEK)
        listener.connect(peer)
        connection = listener
    else:
        listener.listen(1)
        _note(options, "listening on {}:{} ...".format(*own))
        connection, peer = listener.accept()
        listener.close()
    # Busybox looks up the peer's name; here there is no resolver, and a look-up would only delay the answer.
    _note(options, "connect to {}:{} from {} ({}:{})".format(own[0], own[1], peer[0], peer[0], peer[1]))
    return connection


def _connect(options: argparse.Namespace) -> socket.socket:
    if options.host is None or options.remote_port is None:
        raise OSError("usage: nc [-v] [-w SECONDS] HOST PORT")
    connection = socket.socket(socket.AF_INET, _kind(options))
    connection.settimeout(options.timeout)
    if options.port or options.address:
        connection.bind((options.address, options.port))
    connection.connect((options.host, options.remote_port))
    peer = connection.getpeername()
    _note(options, "{} ({}:{}) open".format(options.host, peer[0], peer[1]))
    return connection


def _exchange(connection: socket.socket, timeout: "float | None") -> int:
    """Both directions until both have ended; TimeoutError after `timeout` seconds of silence."""
    is_stream = connection.type == socket.SOCK_STREAM
    readers = [connection, sys.stdin]
    while readers if is_stream else connection in readers:
        ready, _, _ = select.select(readers, [], [], timeout)
        if not ready:
            if not is_stream:
                return 0
            raise TimeoutError
        if sys.stdin in ready:
            data = os.read(0, CHUNK)
            if data:
                connection.sendall(data)
            else:
                readers.remove(sys.stdin)
                if is_stream:
                    connection.shutdown(socket.SHUT_WR)
        if connection in ready:
            data = connection.recv(CHUNK)
            if not data and is_stream:
                readers.remove(connection)
            _write(data)
    return 0


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    sys.exit(main())
