"""A sysdump: one archive with what a diagnosis saw and said, to be read by people and diagnosed again elsewhere."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pytest_submariner.diagnose.diagnosis import Diagnosed, conclude
from pytest_submariner.diagnose.objects.redaction import blank
from pytest_submariner.diagnose.sysdump.dumpfiles import File, page, readable
from pytest_submariner.diagnose.sysdump.record import RecordUnreadable, from_dict, to_dict
from pytest_submariner.errors import SubmarinerError

FOLDER: Final = "submariner-sysdump"
RECORD: Final = "observation.json"
LARGEST: Final = 500_000_000
"""Bytes of a record when unpacked; a sysdump of 100 nodes has a tenth of that."""


class SysdumpUnreadable(SubmarinerError):
    """A file that is no sysdump, or a damaged one; the message names it."""


def may_replace(file: Path, *, named: bool) -> bool:
    """True for a file that is absent, that is a sysdump, or that the user `named`; never anybody else's archive."""
    if named or not file.exists():
        return True
    try:
        with tarfile.open(file, "r:*") as archive:
            first = archive.next()
    except (OSError, tarfile.TarError, EOFError):
        return False
    return first is not None and first.name.startswith(f"{FOLDER}/")


def write(file: Path, diagnosed: Diagnosed, more: Sequence[File] = (), *, about: str = "") -> None:
    """The archive (.tar.gz), complete or not at all; `more` are reports of the run it belongs to, `about` a sentence on it. In
    place of an older one. OSError as it comes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as unfinished:
        try:
            with tarfile.open(fileobj=unfinished, mode="w:gz") as archive:
                now = int(time.time())
                for part in _parts(diagnosed, more, about):
                    content = part.text.encode("utf-8", "replace")
                    entry = tarfile.TarInfo(f"{FOLDER}/{part.name}")
                    entry.size, entry.mtime = len(content), now
                    archive.addfile(entry, io.BytesIO(content))
            unfinished.flush()
            os.replace(unfinished.name, file)
        except BaseException:
            os.unlink(unfinished.name)
            raise


def _parts(diagnosed: Diagnosed, more: Sequence[File], about: str) -> list[File]:
    record = json.dumps(blank(to_dict(diagnosed.observation)), indent=1)
    findings = json.dumps(blank([finding.to_dict() for finding in diagnosed.findings]), indent=1)
    files = [
        File("findings.json", "causes with evidence and remedy, for programs", findings),
        File(RECORD, "everything the diagnosis saw: submariner-diagnose reads it", record),
        *more,
        *readable(diagnosed),
    ]
    return [File("index.html", "", page(diagnosed, files, about)), *files]


def read(file: Path) -> Diagnosed:
    """The observation in the archive, diagnosed now. SysdumpUnreadable says what is wrong with the file; OSError as it comes."""
    try:
        with tarfile.open(file, "r:*") as archive:
            entry = next((e for e in archive if e.isfile() and Path(e.name).name == RECORD), None)
            if entry is None:
                raise SysdumpUnreadable(
                    f"{file}: holds no {RECORD}; give an archive that --save-sysdump or a run wrote"
                )
            if entry.size > LARGEST:
                raise SysdumpUnreadable(f"{file}: {RECORD} has {entry.size} bytes; at most {LARGEST} are read")
            content = archive.extractfile(entry)
            data = json.loads(content.read()) if content is not None else None
        if not isinstance(data, dict):
            raise SysdumpUnreadable(f"{file}: {RECORD} is no JSON object")
        seen = from_dict(data)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SysdumpUnreadable(f"{file}: is no sysdump ({error})") from None
    except RecordUnreadable as error:
        raise SysdumpUnreadable(f"{file}: {error}") from None
    found, notes = conclude(seen)
    return Diagnosed(found, seen, 0.0, notes)
