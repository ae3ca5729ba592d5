"""Capturing on a node: bounded in packets and seconds, really listening before it returns, and gone afterwards.

tcpdump where the node has it, else its python3. The capture runs beside the exec that started it, because a proxy may
cut an exec on which nothing moves; what it wrote is fetched by a second one. Whoever forgets it: it ends by itself,
and removes its files.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from importlib import resources
from types import TracebackType

from pytest_submariner.errors import ProbeInconclusive, TransportError
from pytest_submariner.nodestate.packets import PROTOCOLS, Packet
from pytest_submariner.nodestate.pcap import read_pcap
from pytest_submariner.nodestate.selection import Selection
from pytest_submariner.transport.base import DEFAULT_TIMEOUT_S
from pytest_submariner.transport.node import NodeExec

LINGER_S = 20
"""How long files stay after the capture has ended by itself."""
DELIVERY_S = 0.2
"""The last packets are on their way through the kernel's ring when a test is done."""

# A process is ours as long as it works in our folder: neither a zombie nor a later process of the same number does.
_ALIVE = r"""
alive() { [ -n "$1" ] && [ "$(readlink "/proc/$1/cwd" 2>/dev/null)" = "$d" ]; }
nap() { sleep 0.05 2>/dev/null || sleep 1; }
"""

# $1 folder, $2 seconds, $3 packets, $4 device, $5 bytes of each packet, $6 what is wanted, for the sniffer, rest: the same for
# tcpdump
_START = (
    _ALIVE
    + r"""
d=$1 s=$2 n=$3 i=$4 k=$5 w=$6; shift 6
umask 077
mkdir "$d" && cd "$d" || exit 9
d=$(pwd -P)
if command -v tcpdump >/dev/null 2>&1; then
  # -Z: some builds give up root for a user who may not do this
  tool=tcpdump
  set -- tcpdump -Z "$(id -un)" -i "$i" -n -U --immediate-mode -s "$k" -c "$n" -w - "$@"
elif command -v python3 >/dev/null 2>&1; then
  tool=python3
  cat > sniffer.py <<'END_OF_SNIFFER'
@SNIFFER@
END_OF_SNIFFER
  set -- python3 sniffer.py "$i" "$n" "$k" "$w"
else
  echo "neither tcpdump nor python3 is installed" >&2
  cd /; rmdir "$d"; exit 8
fi
cat > run.sh <<'END_OF_RUN'
@ALIVE@
s=$1 d=$2; shift 2
"$@" >pcap 2>err & p=$!
echo "$p" >pid.new; mv pid.new pid
n=0
while [ -e "$d" ] && [ "$n" -lt "$((s + @LINGER@))" ]; do
  [ "$n" -ge "$s" ] && alive "$p" && kill "$p"
  sleep 1; n=$((n+1))
done
alive "$p" && kill "$p"
rm -rf "$d"
END_OF_RUN
if command -v setsid >/dev/null 2>&1; then setsid sh run.sh "$s" "$d" "$@" </dev/null >/dev/null 2>&1 &
else (trap '' HUP; exec sh run.sh "$s" "$d" "$@") </dev/null >/dev/null 2>&1 &
fi
t=0
while [ "$t" -lt 100 ]; do
  if grep -q "listening on" err 2>/dev/null; then echo "tool $tool"; ip -o link show; exit 0; fi
  [ -e pid ] && ! alive "$(cat pid)" && break
  nap; t=$((t+1))
done
cat err >&2
alive "$(cat pid)" && kill "$(cat pid)"
cd /; rm -rf "$d"
exit 7
"""
)

# When the folder goes, run.sh goes as well.
_STOP = (
    _ALIVE
    + r"""
cd "$1" 2>/dev/null || { echo "the capture and its files are gone" >&2; exit 6; }
d=$(pwd -P)
sleep "$2" 2>/dev/null || sleep 1
p=$(cat pid)
alive "$p" && kill "$p"
t=0
while [ "$t" -lt 60 ] && alive "$p"; do nap; t=$((t+1)); done
cat pcap
cat err >&2
cd /; rm -rf "$d"
"""
)
_LINK = re.compile(r"(?P<index>\d+): (?P<name>[^:@\s]+)\S*:? .*?link/\S+(?: (?P<mac>[0-9a-f:]{17}))?")
"""A line of `ip -o link show`."""
_CAPTURED = re.compile(r"(\d+) packets? captured")
_DROPPED = re.compile(r"(\d+) packets? dropped by kernel")
_NO_MAC = "00:00:00:00:00:00"
"""lo's: every frame of it would look outgoing."""


class Capture:
    """Packets that pass `device` (`any`: all devices) while the `with` block runs, or until `packets` or `seconds` are
    reached.

    `protocol` is icmp, udp, tcp or esp, `address` an IPv4 address at either end, `port` a port at either end; what is
    not given is not filtered. `selection` instead of these takes the packets of traced paths. `snap`: bytes kept of each.
    `timeout`: seconds the node may take to start, and to end, a capture. ::

        with Capture(node, "vx-submariner", protocol="icmp") as capture:
            node.run(["ping", "-c", "1", "240.18.0.2"])
        sources = {p.source for p in capture if p.is_echo_request and p.direction == "out"}

    `folder` is where it writes, `tool` what captures (tcpdump or python3); afterwards `complete` says whether nothing can
    be missing: the limit was not reached, and the kernel dropped nothing. CaptureFailed when it cannot start (no tool,
    no such device, no permission), with the node's words.
    """

    def __init__(
        self,
        node: NodeExec,
        device: str = "any",
        *,
        protocol: str | None = None,
        address: str | None = None,
        port: int | None = None,
        selection: Selection | None = None,
        packets: int = 200,
        seconds: int = 30,
        snap: int = 512,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        numbers = {name: number for number, name in PROTOCOLS.items()}
        if protocol is not None and protocol not in numbers:
            raise ValueError(f"protocol {protocol!r}: allowed are {', '.join(numbers)}")
        if selection is not None and (protocol or address or port):
            raise ValueError("a selection already says which protocols, addresses and ports")
        self.device = device
        self.packets: tuple[Packet, ...] = ()
        self.tool = ""
        self.complete = False
        self._node = node
        self._limit = packets
        self._timeout = timeout
        self.folder = f"/tmp/submariner-capture-{secrets.token_hex(8)}"
        given = [
            *([f"protocol={numbers[protocol]}"] if protocol else []),
            *([f"address={address}"] if address else []),
            *([f"port={port}"] if port else []),
        ]
        filters = [
            *([protocol if protocol != "esp" else "ip proto 50"] if protocol else []),
            *([f"host {address}"] if address else []),
            *([f"port {port}"] if port else []),
        ]
        self._arguments = [
            self.folder,
            str(seconds),
            str(packets),
            device,
            str(snap),
            selection.words if selection else ";".join(given),
            *([selection.expression] if selection else [" and ".join(filters)] if filters else []),
        ]
        self._mac: str | None = None
        self._devices: dict[int, str] = {}
        self._running = False

    def __enter__(self) -> Capture:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except (TransportError, ProbeInconclusive):
            if error is None:  # else what the block raised is what people need to see
                raise

    def __iter__(self) -> Iterator[Packet]:
        return iter(self.packets)

    def __len__(self) -> int:
        return len(self.packets)

    def start(self) -> None:
        """Begin; returns when the kernel hands packets over."""
        result = self._node.script(_start_script(), *self._arguments, timeout=self._timeout)
        if result.exit_status:
            raise CaptureFailed(
                f"{self._node.node.name}: no capture on {self.device}: {result.error_text.strip() or result!r}"
            )
        said, _, links = result.text.partition("\n")
        self.tool = said.removeprefix("tool ")
        for match in map(_LINK.match, links.splitlines()):
            if match is not None:
                self._devices[int(match["index"])] = match["name"]
                if match["name"] == self.device and match["mac"] != _NO_MAC:
                    self._mac = match["mac"]
        self._running = True

    def stop(self) -> tuple[Packet, ...]:
        """End it and read what was captured; a second call gives the same again.

        ProbeInconclusive when the node lost what was captured.
        """
        if not self._running:
            return self.packets
        self._running = False
        result = self._node.script(_STOP, self.folder, str(DELIVERY_S), timeout=self._timeout, repeatable=False)
        if result.exit_status:
            raise ProbeInconclusive(f"{self._node.node.name}: capture on {self.device}: {result.error_text.strip()}")
        try:
            self.packets = read_pcap(result.stdout, self.device, devices=self._devices, own_mac=self._mac)
        except ValueError as error:
            said = result.error_text.strip()
            raise ProbeInconclusive(f"{self._node.node.name}: capture on {self.device}: {error}; {said}") from None
        captured, dropped = _CAPTURED.search(result.error_text), _DROPPED.search(result.error_text)
        self.complete = (
            captured is not None and int(captured[1]) < self._limit and dropped is not None and dropped[1] == "0"
        )
        return self.packets


class CaptureFailed(TransportError):
    """The capture could not be started; the message has the node's words."""


def _start_script() -> str:
    sniffer = (resources.files(__package__) / "sniffer.py").read_text(encoding="utf-8")
    return _START.replace("@SNIFFER@", sniffer).replace("@ALIVE@", _ALIVE).replace("@LINGER@", str(LINGER_S))
