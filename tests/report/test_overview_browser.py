"""The overview as people use it: opened from disk in a browser, by mouse and by keyboard, wide and narrow, without scripts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Tab, chromium, new_tab
from synthetic_runs import cut_off, default_run, hostile_run, mesh_run, overlay_link_down

from pytest_submariner.report.overview.page import write_overview
from pytest_submariner.report.recorder import Recorder

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to open the page: apt-get install chromium")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One browser for all tests here; each has a tab of its own."""
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as port:
        yield port


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recorder, Path]:
    """The default run without vx-submariner on c1-w1."""
    recorder = overlay_link_down(default_run(cut_off("c1-w1")))
    return recorder, written(recorder, tmp_path_factory.mktemp("failing"))


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9,900 paths, of which those between clusters from and to c1-w17 fail."""
    return written(overlay_link_down(mesh_run(49, cut_off("c1-w17")), "c1-w17"), tmp_path_factory.mktemp("mesh"))


def look(port: int, page: Path, how: Callable[[Tab], Awaitable[Any]], *, scripts: bool = True) -> Any:
    """Open a page, wait until its list of paths is there, do `how`; whatever the console complained of fails the test."""

    async def run() -> Any:
        async with new_tab(port, scripts=scripts) as tab:
            await tab.resize(1280)
            await tab.open(page.as_uri())
            if scripts:
                await tab.until("document.documentElement.dataset.ready === 'yes'")
            seen = await how(tab)
            assert tab.complaints == []
            assert [url for url in tab.requests if url.startswith("http")] == []
            return seen

    return asyncio.run(run())


def written(recorder: Recorder, tmp_path: Path) -> Path:
    write_overview(recorder, tmp_path / "index.html", [("provider", "lab", "default")])
    return tmp_path / "index.html"


SHOWN = "[...document.querySelectorAll('.path')].map(row => row.dataset.id)"


def test_matrix_and_picture_are_there_and_letters_lead_to_their_paths(
    port: int, failing: tuple[Recorder, Path]
) -> None:
    _, page = failing

    async def how(tab: Tab) -> None:
        for part in ("svg.topology", ".matrix table", "#findings .finding", ".legend"):
            assert await tab.run(f"document.querySelector('{part}').checkVisibility()")
        key = "pod.ngw.c1--svc.gw.c2--udp"
        await tab.run(f"document.querySelector('[data-cell=\"{key}\"]').click()")
        await tab.until(f"location.hash === '#cell={key}'")
        assert await tab.run(SHOWN) == [key]
        assert await tab.run("document.querySelector('#number').textContent") == "1 of 280 paths"
        await tab.run("document.querySelector('#cell').click()")
        assert len(await tab.run(SHOWN)) == 100
        await tab.run("document.querySelector('#more').click()")
        assert len(await tab.run(SHOWN)) == 200

    look(port, page, how)


def test_path_tells_its_story(port: int, failing: tuple[Recorder, Path]) -> None:
    recorder, page = failing
    failed = recorder.failures()[0]

    async def how(tab: Tab) -> str:
        await tab.run(f"document.querySelector('.finding [data-path=\"{failed.id}\"]').click()")
        await tab.until("document.querySelector('.path[open] dl') !== null")
        cause = "document.querySelector('.path[open] a').getAttribute('href')"
        assert await tab.run(f"document.querySelector({cause}).querySelector('h3').textContent") == "OVERLAY_LINK_DOWN"
        return str(await tab.run("document.querySelector('.path[open]').innerText"))

    story = look(port, page, how)
    for part in (
        failed.id,
        failed.detail,
        failed.command,
        failed.nodeid,
        *failed.evidence,
        "blocked: should be reachable",
    ):
        assert part in story


def test_search_and_filters_narrow_the_list(port: int, failing: tuple[Recorder, Path]) -> None:
    recorder, page = failing

    async def how(tab: Tab) -> None:
        await tab.run("document.querySelector('#words').focus()")
        await tab.write("C2-W1 svc udp")
        await tab.until("!document.querySelector('#number').textContent.startsWith('280')")
        shown = await tab.run(SHOWN)
        assert shown
        assert all("svc" in path and "udp" in path for path in shown)
        await tab.run("words.value = ''; words.dispatchEvent(new Event('input'))")
        await tab.until("document.querySelector('#number').textContent.startsWith('280')")
        await tab.run("verdict.value = 'bad'; verdict.dispatchEvent(new Event('change'))")
        assert sorted(await tab.run(SHOWN)) == [result.id for result in recorder.failures()]
        await tab.run("pair.value = 'c2 → c1'; pair.dispatchEvent(new Event('change'))")
        assert set(await tab.run(SHOWN)) == {r.id for r in recorder.failures() if re.search(r"\.c2--.*\.c1--", r.id)}

    look(port, page, how)


def test_by_keyboard_alone(port: int, tmp_path: Path) -> None:
    page = written(default_run(), tmp_path)

    async def how(tab: Tab) -> None:
        await tab.press("Tab")
        assert await tab.run("document.activeElement.className") == "skip"
        assert await tab.run("document.activeElement.getBoundingClientRect().top >= 0")
        await tab.press("Enter")
        await tab.until("document.activeElement.id === 'main'")
        for _ in range(60):
            await tab.press("Tab")
            if await tab.run("document.activeElement.matches('a[data-cell]')"):
                break
        key = await tab.run("document.activeElement.dataset.cell")
        assert await tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await tab.press("Enter")
        await tab.until(f"location.hash === '#cell={key}'")
        assert await tab.run("document.activeElement.matches('.path summary')")
        await tab.press("Enter")
        await tab.until("document.querySelector('.path[open] dl') !== null")

    look(port, page, how)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out(port: int, failing: tuple[Recorder, Path], width: int) -> None:
    _, page = failing

    async def how(tab: Tab) -> None:
        await tab.resize(width)
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        await tab.run("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        await tab.until("document.querySelectorAll('.path[open] dl').length === 100")
        edges = "[...document.querySelectorAll('.path dd, .finding dd, .facts dd')].map(e => e.getBoundingClientRect().right)"
        assert max(await tab.run(edges)) <= width

    look(port, page, how)


def test_words_of_the_picture_do_not_touch(port: int, mesh: Path) -> None:
    touching = """(() => {
        const boxes = [...document.querySelectorAll('svg.topology text')].filter(text => text.textContent)
            .map(text => [text.textContent, text.getBoundingClientRect()]);
        const clash = (a, b) => a.left < b.right && b.left < a.right && a.top + 1 < b.bottom - 1 && b.top + 1 < a.bottom - 1;
        return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) => clash(a, b)).map(([other]) => [one, other]));
    })()"""

    async def how(tab: Tab) -> None:
        assert await tab.run(touching) == []

    look(port, mesh, how)


def test_large_mesh_answers_by_node(port: int, mesh: Path) -> None:

    async def how(tab: Tab) -> None:
        assert await tab.run("document.querySelectorAll('*').length") < 5000
        await tab.run("document.querySelector('.by-node[data-source=c1][data-target=c2]').open = true")
        await tab.until("document.querySelectorAll('.by-node td a').length === 2500")
        assert await tab.run("document.querySelectorAll('.by-node td a.bad').length") == 50
        await tab.run("document.querySelector('.by-node td a.bad').click()")
        await tab.until("document.querySelector('#number').textContent.startsWith('1 of')")

    look(port, mesh, how)


def test_hostile_texts_run_nothing(port: int, tmp_path: Path) -> None:
    page = written(hostile_run(), tmp_path)

    async def how(tab: Tab) -> None:
        await tab.run("document.querySelectorAll('details').forEach(details => details.open = true)")
        await tab.until("document.querySelectorAll('.path[open] dl').length === 100")
        assert await tab.run("document.querySelectorAll('img').length") == 0
        assert "onerror=alert(1)" in await tab.run("document.querySelector('.path dl').textContent")

    look(port, page, how)


def test_without_scripts_the_answer_is_there(port: int, failing: tuple[Recorder, Path]) -> None:
    _, page = failing

    async def how(tab: Tab) -> None:
        for part in ("h1", "svg.topology", ".matrix table", ".finding dl", "noscript p"):
            node = await tab.ask("DOM.getDocument", depth=-1)
            found = await tab.ask("DOM.querySelector", nodeId=node["root"]["nodeId"], selector=part)
            assert found["nodeId"], part
            box = await tab.ask("DOM.getBoxModel", nodeId=found["nodeId"])
            assert box["model"]["height"] > 0

    look(port, page, how, scripts=False)
