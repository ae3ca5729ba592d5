"""Compiled templates, kept in the user's cache folder: compiling them takes four times as long as rendering the page."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2.bccache import Bucket, FileSystemBytecodeCache


def compiled_templates() -> FileSystemBytecodeCache | None:
    """None where no cache can be kept: everything works without, only slower. Jinja recognises a template that has changed, and code of
    another version of itself or of Python."""
    from jinja2.bccache import FileSystemBytecodeCache

    class Cache(FileSystemBytecodeCache):
        def dump_bytecode(self, bucket: Bucket) -> None:
            with suppress(OSError):  # a full disk
                super().dump_bytecode(bucket)

    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-submariner"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home
        return None
    owner = folder.stat()
    # What is loaded from there is run.
    is_ours = owner.st_uid == os.geteuid() and not owner.st_mode & 0o022 and os.access(folder, os.W_OK)
    return Cache(str(folder)) if is_ours else None
