"""The cache of compiled templates: used, private, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from pytest_submariner.report.overview.bytecode import compiled_templates


def hello() -> str:
    loader = DictLoader({"hello": "Hello {{ name }}"})
    return Environment(loader=loader, bytecode_cache=compiled_templates()).get_template("hello").render(name="you")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pytest-submariner"


def test_a_template_is_compiled_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hello() == "Hello you"
    assert len(list(home.iterdir())) == 1
    monkeypatch.setattr(Environment, "_generate", lambda *_: pytest.fail("compiled again"))
    assert hello() == "Hello you"


def test_a_damaged_cache_is_made_again(home: Path) -> None:
    hello()
    (kept,) = home.iterdir()
    kept.write_bytes(b"nonsense")
    assert hello() == "Hello you"


def test_nothing_is_loaded_from_a_folder_that_others_can_write(home: Path) -> None:
    home.mkdir()
    home.chmod(0o777)
    assert compiled_templates() is None
    assert hello() == "Hello you"


def test_without_a_place_for_it_everything_works(home: Path) -> None:
    home.write_text("a file where the folder would be")
    assert compiled_templates() is None
    assert hello() == "Hello you"
