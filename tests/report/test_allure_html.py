"""The HTML report: made with the machine's Node.js or the wheel's, and opened in a browser."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pytest_submariner.model.path import PathCase
from pytest_submariner.report import allure_folder, allure_html, node
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import title

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_S = 60


@pytest.fixture(scope="session")
def page(allure_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    allure_folder.finish(allure_results, Recorder(provider="lab"), {})
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
def test_opens_in_a_browser_without_complaint(page: Path, tmp_path: Path) -> None:
    story = title(PathCase.parse("hostpod.ngw.c1--vx.gw.c1--icmp"))
    seen = asyncio.run(open_in_browser(page, tmp_path / "profile", story))
    assert seen["complaints"] == []
    assert [url for url in seen["requests"] if url.startswith("http")] == []
    assert story in seen["text"]
    assert "Submariner conformance" in seen["text"]


async def open_in_browser(page: Path, profile: Path, wanted: str) -> dict[str, Any]:
    """Open every branch of the tree until `wanted` is visible; then what is on the page, what the console said, which URLs were asked."""
    assert CHROMIUM is not None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"]
    environ = {**os.environ, "HOME": str(profile.parent)}
    argv = [CHROMIUM, *flags, f"--user-data-dir={profile}", "about:blank"]
    browser = await asyncio.create_subprocess_exec(
        *argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (profile / "DevToolsActivePort").is_file():
                assert browser.returncode is None, f"Chromium ended with {browser.returncode}"
                await asyncio.sleep(0.05)
            port = (profile / "DevToolsActivePort").read_text(encoding="ascii").split()[0]
            return await inspect(f"http://127.0.0.1:{port}", page.as_uri(), wanted)
    finally:
        if browser.returncode is None:
            browser.kill()
        await browser.wait()


OPEN_BRANCHES = """
    [...document.querySelectorAll('[data-testid="tree-arrow"]')].forEach(arrow => {
        const header = arrow.closest('[data-testid="tree-section"]') || arrow.closest('button') || arrow.parentElement;
        header && header.click();
    });
    document.body.innerText
"""


async def inspect(endpoint: str, url: str, wanted: str) -> dict[str, Any]:
    seen: dict[str, Any] = {"complaints": [], "requests": [], "text": ""}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{endpoint}/json") as answer:
            tabs = await answer.json(content_type=None)
        debugger = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        async with http.ws_connect(debugger, max_msg_size=0) as socket:
            number = 0

            async def ask(method: str, **params: Any) -> Any:
                nonlocal number
                number += 1
                await socket.send_json({"id": number, "method": method, "params": params})
                while True:
                    message = await socket.receive_json()
                    if message.get("id") == number:
                        return message.get("result")
                    note(message, seen)

            for domain in ("Runtime", "Log", "Page", "Network"):
                await ask(f"{domain}.enable")
            await ask("Page.navigate", url=url)
            while wanted not in seen["text"]:
                await asyncio.sleep(0.3)
                found = await ask("Runtime.evaluate", expression=OPEN_BRANCHES, returnByValue=True)
                seen["text"] = str(found["result"].get("value", ""))
    return seen


def note(message: dict[str, Any], seen: dict[str, Any]) -> None:
    """Keep what a person with open developer tools would see in red."""
    method, params = message.get("method"), message.get("params", {})
    if method == "Runtime.exceptionThrown":
        seen["complaints"].append(json.dumps(params["exceptionDetails"])[:500])
    elif (method == "Log.entryAdded" and params["entry"]["level"] == "error") or (
        method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert")
    ):
        seen["complaints"].append(json.dumps(params)[:500])
    elif method == "Network.requestWillBeSent":
        seen["requests"].append(params["request"]["url"])


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
