"""A headless Chromium, driven by its DevTools protocol: opens a file, says what a person with developer tools would see."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_S = 60
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")


class Tab:
    """One page. `complaints` are errors of the console and of scripts, `requests` every URL the page asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []
        self.requests: list[str] = []

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol. AssertionError when the browser refuses it."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif (method == "Log.entryAdded" and params["entry"]["level"] == "error") or (
            method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert")
        ):
            self.complaints.append(json.dumps(params)[:500])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    async def open(self, url: str) -> None:
        """Go there and wait until it is loaded."""
        await self.ask("Page.navigate", url="about:blank")
        await self.ask("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        answer = await self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true; TimeoutError of the browser's patience otherwise."""
        while not await self.run(script):  # noqa: ASYNC110 — the page does not know that it is watched
            await asyncio.sleep(0.05)

    async def press(self, key: str, *, shift: bool = False) -> None:
        """A key, as `KeyboardEvent.key` calls it (Tab, Enter, ...)."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        common = {"key": key, "windowsVirtualKeyCode": codes.get(key, 0), "modifiers": 8 if shift else 0}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    async def write(self, text: str) -> None:
        """Text into whatever has the focus."""
        await self.ask("Input.insertText", text=text)

    async def resize(self, width: int, height: int = 900) -> None:
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def prefer(self, scheme: str) -> None:
        """`light` or `dark`."""
        await self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def picture(self, file: Path) -> None:
        """The whole page as PNG, however long it is."""
        shot = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(shot["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[int]:
    """The DevTools port of a Chromium of one's own with a fresh `profile` folder; it ends with the block."""
    assert CHROMIUM is not None, "needs Chromium: apt-get install chromium"
    process = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        env={**os.environ, "HOME": str(profile.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port_file, deadline = profile / "DevToolsActivePort", time.monotonic() + PATIENCE_S
        while not port_file.is_file() or not port_file.read_text(encoding="ascii").strip():
            assert process.poll() is None, f"Chromium ended with {process.returncode}"
            assert time.monotonic() < deadline, "Chromium does not say its port"
            time.sleep(0.05)
        yield int(port_file.read_text(encoding="ascii").split()[0])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@asynccontextmanager
async def new_tab(port: int, *, scripts: bool = True) -> AsyncIterator[Tab]:
    """A fresh tab, closed with the block; without `scripts` pages run none."""
    endpoint = f"http://127.0.0.1:{port}/json"
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as http:
        async with http.put(f"{endpoint}/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        async with http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            tab = Tab(socket)
            for domain in ("Runtime", "Log", "Page", "Network"):
                await tab.ask(f"{domain}.enable")
            await tab.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
            yield tab
        async with http.get(f"{endpoint}/close/{target['id']}"):
            pass
