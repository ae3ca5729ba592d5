"""Several readings in one command: a script that prints sections, and what each section gave."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_submariner.errors import ProbeInconclusive, SubmarinerError
from pytest_submariner.transport.node import NodeExec

# fd 3 is the real stdout: the command writes there while its stderr is caught for the line that ends the section.
_PROLOGUE = r"""m=$1
exec 3>&1
section() {
  printf '\n%s begin %s\n' "$m" "$1"; shift
  e=$( { "$@" >&3 3>&-; } 2>&1 ); s=$?
  printf '\n%s end %s %s\n' "$m" "$s" "$(printf %s "$e" | tr '\n' ' ')"
}
"""


@dataclass(frozen=True)
class Section:
    """What one reading gave. `error` is empty when it can be used, else the reason in one line."""

    text: str
    error: str = ""


class Unreadable(SubmarinerError):
    """A section that cannot be understood; the message is the reason."""


def read_sections(node: NodeExec, commands: Mapping[str, str], *, timeout: float = 30) -> dict[str, Section]:
    """Run `commands` (name -> a simple sh command) one after another in a single exec.

    ProbeInconclusive when the script itself did not get to its end; TransportErrors pass through.
    """
    mark = f"submariner-{secrets.token_hex(6)}"
    script = _PROLOGUE + "".join(f"section {name} {command}\n" for name, command in commands.items())
    result = node.script(script, mark, timeout=timeout, repeatable=True)
    sections = _split(result.text, mark)
    missing = [name for name in commands if name not in sections]
    if missing:
        raise ProbeInconclusive(f"reading {', '.join(missing)} did not end: {result!r}")
    return sections


def json_list(section: Section, tool: str) -> list[dict[str, Any]]:
    """The objects a `-j` tool printed; Unreadable says why there are none."""
    if section.error:
        raise Unreadable(section.error)
    if not section.text.strip():
        return []
    try:
        document = json.loads(section.text)
    except ValueError:
        raise Unreadable(f"{tool} prints no JSON here (busybox, or older than iproute2 4.14)") from None
    return [entry for entry in document if isinstance(entry, dict) and entry]


def _split(text: str, mark: str) -> dict[str, Section]:
    """Sections by name; one that was begun and not ended is left out."""
    sections: dict[str, Section] = {}
    for block in text.split(f"\n{mark} begin ")[1:]:
        name, _, rest = block.partition("\n")
        body, ended, tail = rest.partition(f"\n{mark} end ")
        if ended:
            status, _, said = tail.split("\n", 1)[0].partition(" ")
            error = "" if status == "0" else (said.strip() or f"exit status {status}")
            sections[name] = Section(body, error)
    return sections
