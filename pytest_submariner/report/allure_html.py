"""`python -m pytest_submariner.report.allure_html RESULTS OUT_DIR` makes one HTML file, OUT_DIR/index.html.

It takes Allure 3, an npm package that is fetched once into a cache folder. The file opens from disk and asks no host.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pytest_submariner.errors import SubmarinerError
from pytest_submariner.report.json import write_atomically
from pytest_submariner.report.node import Node, find_node, install, last_words

ALLURE = "3.18.0"
CONFIG = Path(__file__).with_name("allurerc.mjs")
GENERATE_TIMEOUT_S = 300
_ANALYTICS = re.compile(
    r"\s*<script async src=\"https://www\.googletagmanager\.com/[^\"]*\"></script>\s*<script>(?:(?!</script>).)*?gtag\(.*?</script>",
    re.DOTALL,
)


class ReportFailed(SubmarinerError):
    """The HTML could not be made; one line that says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 and the file's name on stdout, or 1 and one line on stderr; 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m pytest_submariner.report.allure_html", description=__doc__)
    parser.add_argument("results", metavar="RESULTS", type=Path, help="The folder given to pytest as --alluredir")
    parser.add_argument("out_dir", metavar="OUT_DIR", type=Path, help="Where index.html goes; the folder is made")
    parser.add_argument("--history", metavar="FILE", type=Path, help="Keep a line per run in this file and show trends")
    parser.add_argument("--config", metavar="FILE", type=Path, default=CONFIG, help="Another allurerc.mjs")
    parser.add_argument("--cache", metavar="DIR", type=Path, default=None, help=f"Where Allure {ALLURE} is kept")
    options = parser.parse_args(argv)
    try:
        page = generate(
            options.results, options.out_dir, history=options.history, config=options.config, cache=options.cache
        )
    except SubmarinerError as error:
        print(f"allure report: {error}", file=sys.stderr)  # noqa: T201 — a command's own output
        return 1
    print(page)  # noqa: T201
    return 0


def generate(
    results: Path, out_dir: Path, *, history: Path | None = None, config: Path = CONFIG, cache: Path | None = None
) -> Path:
    """Make OUT_DIR/index.html from Allure results and return its path.

    Raises NodeUnavailable (no Node.js, npm failed) or ReportFailed (no results, Allure failed), one line each.
    """
    if not any(results.glob("*-result.json")):
        what = "has no *-result.json" if results.is_dir() else "does not exist"
        raise ReportFailed(f"{results} {what}: run pytest with --alluredir={results} first")
    if not config.is_file():
        raise ReportFailed(f"--config {config} is not a file")
    page = out_dir / "index.html"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportFailed(f"cannot write {page}: {error.strerror or error}") from error
    node = find_node()
    allure = install("allure", ALLURE, cache or default_cache(), node)
    try:
        with tempfile.TemporaryDirectory(prefix="allure-html-") as scratch:
            made = _run(node, allure / "cli.js", results, Path(scratch) / "report", config=config, history=history)
            write_atomically(page, without_analytics(made.read_text(encoding="utf-8")))
    except OSError as error:
        raise ReportFailed(f"cannot write {page}: {error.strerror or error}") from error
    return page


def default_cache() -> Path:
    """`.cache/allure` of the checkout this package is run from, else the user's cache folder (XDG)."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and os.access(checkout, os.W_OK):
        return checkout / ".cache" / "allure"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pytest-submariner" / "allure"


def without_analytics(page: str) -> str:
    """The page without the Google Analytics that Allure 3 puts into every report, with no switch for it: whoever opens
    the file should not be counted, and without network the request would be an error in the console."""
    return _ANALYTICS.sub("", page)


def _run(node: Node, cli: Path, results: Path, output: Path, *, config: Path, history: Path | None) -> Path:
    argv = [
        str(node.node),
        str(cli),
        "generate",
        str(results.resolve()),
        "-c",
        str(config.resolve()),
        "-o",
        str(output),
    ]
    environment = {**node.environment(), "NO_COLOR": "1"}
    environment.pop("ALLURE_HISTORY", None)
    if history is not None:
        history.parent.mkdir(parents=True, exist_ok=True)
        environment["ALLURE_HISTORY"] = str(history.resolve())
    try:
        done = subprocess.run(
            argv, cwd=results, env=environment, capture_output=True, text=True, timeout=GENERATE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ReportFailed(f"Allure did not end within {GENERATE_TIMEOUT_S} s") from None
    pages = [page for page in (output / "index.html", output / "awesome" / "index.html") if page.is_file()]
    if done.returncode != 0 or not pages:
        said = last_words(done.stderr) if done.stderr.strip() else last_words(done.stdout)
        raise ReportFailed(f"Allure {ALLURE} made no report (exit status {done.returncode}): {said}")
    return pages[0]


if __name__ == "__main__":
    sys.exit(main())
