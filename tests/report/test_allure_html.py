"""The HTML report: made with the machine's Node.js or the wheel's, and opened in a browser."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import CHROMIUM, chromium, new_tab

from pytest_submariner.model.path import PathCase
from pytest_submariner.report import allure_folder, allure_html, node
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import title


@pytest.fixture(scope="session")
def page(allure_results: Path, failing_run: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    crashed = [("test_items.py::test_lost[pod.gw.c1--pod.gw.c2--tcp]", "worker 'gw0' crashed while running it")]
    allure_folder.finish(allure_results, failing_run, {}, crashed=crashed)
    try:
        return allure_html.generate(allure_results, tmp_path_factory.mktemp("html"))
    except node.NodeUnavailable as reason:
        pytest.skip(f"Allure 3 cannot run here: {reason}")


def test_one_file_that_asks_no_other_host(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [p.name for p in page.parent.iterdir()] == ["index.html"]
    assert "googletagmanager" not in text
    assert "Submariner conformance" in text


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to open the report: apt-get install chromium")
def test_reads_in_a_browser_without_complaint(page: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as port:
        asyncio.run(read(page, port))


async def read(page: Path, port: int) -> None:
    """As somebody would who looks for the reason of a failure."""
    story = title(PathCase.parse("hostpod.ngw.c1--vx.gw.c1--icmp"))
    failing = title(PathCase.parse("hostpod.ngw.c1--pod.ngw.c2--tcp"))
    async with new_tab(port) as tab:
        await tab.resize(1280, 1000)
        await tab.open(page.as_uri())
        await tab.until(shows("Submariner conformance"))
        await tab.until(f"({OPEN_BRANCHES}).includes({json.dumps(story)})")
        assert await tab.run(shows("worker 'gw0' crashed")) is False
        await tab.until(click(failing, within='[data-testid="tree-leaf"]'))
        await tab.until(shows("Category: Causes that were proven"))
        assert await tab.run(shows("[NF_HOSTNET_SNAT_MISSING]"))
        assert await tab.run(shows("Cause: NF_HOSTNET_SNAT_MISSING on c1-w1, c1: nat/SUBMARINER-POSTROUTING"))
        await tab.until(click("What was seen on its way"))
        await tab.until(click("Where the path is lost"))
        await tab.until(f"{PICTURE} > 300")
        assert tab.complaints == []
        assert [url for url in tab.requests if url.startswith("http")] == []


OPEN_BRANCHES = """(() => {
    [...document.querySelectorAll('[data-testid="tree-arrow"]')].forEach(arrow => {
        const header = arrow.closest('[data-testid="tree-section"]') || arrow.closest('button') || arrow.parentElement;
        header && header.click();
    });
    return document.body.innerText
})()"""
PICTURE = """Math.max(0, ...[...document.querySelectorAll('img[alt$=".svg"]')].map(image => image.naturalWidth))"""
"""Pixels the widest attached picture takes, once it is drawn."""


def shows(text: str) -> str:
    """A script: whether the page shows a text."""
    return f"document.body.innerText.includes({json.dumps(text)})"


def click(text: str, within: str = "*") -> str:
    """A script: click the innermost element that has this text; false while there is none."""
    return f"""(() => {{
        const found = [...document.querySelectorAll({json.dumps(within)})]
            .filter(e => e.textContent.includes({json.dumps(text)}) && e.getClientRects().length)
            .filter(e => ![...e.children].some(child => child.textContent.includes({json.dumps(text)})) || {json.dumps(within)} != "*");
        found.length && found[0].click();
        return found.length > 0
    }})()"""


def command(*argv: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    module = "pytest_submariner.report.allure_html"
    return subprocess.run(
        [sys.executable, "-m", module, *argv], env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_history_is_kept_when_asked(allure_results: Path, page: Path, tmp_path: Path) -> None:
    history = tmp_path / "kept" / "history.jsonl"
    done = command(allure_results, tmp_path / "out", "--history", history)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "out" / "index.html")
    assert len(history.read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_folder_without_results_is_one_line(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    done = command(tmp_path / folder, tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"--alluredir={tmp_path / folder}" in done.stderr


def test_output_that_cannot_be_written_is_one_line(allure_results: Path, page: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = command(allure_results, tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr.startswith("allure report: cannot write")
    assert done.stderr.count("\n") == 1


def test_broken_results_do_not_end_in_a_traceback(tmp_path: Path, page: Path) -> None:
    (tmp_path / "x-result.json").write_text("{", encoding="utf-8")
    done = command(tmp_path, tmp_path / "out")
    assert "Traceback" not in done.stderr


def test_no_node_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node, "_from_wheel", lambda: None)
    with pytest.raises(node.NodeUnavailable, match=r"no Node.js 20 or newer: .*pip install pytest-submariner\[html\]"):
        node.find_node()


@pytest.fixture
def fake(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes an executable shell script."""

    def make(name: str, script: str) -> Path:
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        return file

    return make


def test_old_node_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fake: Callable[[str, str], Path]
) -> None:
    fake("node", "echo v18.19.1")
    fake("npm", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(node, "_from_wheel", lambda: node.Node(Path("/wheel/node"), ("/wheel/npm",), "24.0.0"))
    assert node.find_node().node == Path("/wheel/node")


def test_failing_npm_is_quoted_and_leaves_nothing(tmp_path: Path, fake: Callable[[str, str], Path]) -> None:
    npm = fake("npm", "echo 'npm error code ENOTFOUND' >&2; echo 'npm error network no route' >&2; exit 1")
    with pytest.raises(
        node.NodeUnavailable, match=r"cannot install allure@3\.18\.0 .*: code ENOTFOUND / network no route"
    ):
        node.install("allure", "3.18.0", tmp_path / "cache", node.Node(Path("/bin/true"), (str(npm),), "20.0.0"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_package_is_installed_once(tmp_path: Path, fake: Callable[[str, str], Path]) -> None:
    npm = fake("npm", 'echo "$@" >> ../asked; mkdir -p node_modules/allure; echo {} > node_modules/allure/package.json')
    here = node.Node(Path("/bin/true"), (str(npm),), "20.0.0")
    first = node.install("allure", "3.18.0", tmp_path / "cache", here)
    again = node.install("allure", "3.18.0", tmp_path / "cache", node.Node(Path("/bin/true"), (), "20.0.0"))
    assert first == again == tmp_path / "cache" / "allure-3.18.0" / "node_modules" / "allure"
    asked = (tmp_path / "cache" / "asked").read_text(encoding="utf-8").splitlines()
    assert len(asked) == 1
    assert asked[0].endswith("allure@3.18.0")


def test_node_without_npm_and_nothing_installed(tmp_path: Path) -> None:
    with pytest.raises(node.NodeUnavailable, match="has no npm: install npm"):
        node.install("allure", "3.18.0", tmp_path, node.Node(Path("/usr/bin/node"), (), "20.0.0"))
