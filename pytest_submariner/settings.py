"""The settings of a run: typed, checked, each with the place it came from (option > environment > ini > default)."""

from __future__ import annotations

import difflib
import math
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_submariner.options import OPTIONS, Kind, Option
from pytest_submariner.paths.selector import Selector

_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


_WORLD = (
    "provider", "lab", "kubeconfig", "context", "exec", "ssh_config", "image", "clusters", "mesh", "sample", "nodes", "timeout",
)  # fmt: skip
"""Settings that say which paths of which clusters are asked, and how."""


@dataclass(frozen=True)
class Settings:
    """What the user asked for. Field names are those of the options; `sources` says where a value that is not a default came from."""

    provider: str
    lab: str | None
    kubeconfig: tuple[Path, ...]
    context: tuple[str, ...]
    exec: str
    ssh_config: Path | None
    image: str
    clusters: int | None
    mesh: bool
    sample: int | None
    nodes: Selector | None
    pods_per_node: int
    rate: int | None
    diagnose: str
    subctl: Path | None
    subctl_junit: Path | None
    results: Path
    overview: Path | None
    sysdump: Path | None
    markdown: Path | None
    timeout: float
    performance: bool
    performance_time: float
    min_throughput: float | None
    max_latency: float | None
    disruptive: bool
    keep: bool
    plan: bool
    cleanup: bool
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def positions(self) -> tuple[str, ...]:
        """The clusters paths are generated for, known without asking any: as many as were named; in a lab as many as it has, two
        without another word."""
        named = max(len(self.context), len(self.kubeconfig))
        count = named if self.provider == "kubeconfig" else self.clusters or 2
        return tuple(f"c{i}" for i in range(1, max(count, 1) + 1))

    @property
    def overview_page(self) -> Path:
        return self.overview or self.results.with_name("index.html")

    @property
    def sysdump_file(self) -> Path:
        return self.sysdump or self.results.with_name("sysdump.tar.gz")

    @property
    def owns_lab(self) -> bool:
        """Whether the lab is booted for this run only: nobody else can be hurt by a disruptive test."""
        return self.provider == "lab" and self.lab is None

    @property
    def allows_disruption(self) -> bool:
        return self.disruptive or self.owns_lab

    @property
    def wants_performance(self) -> bool:
        """A threshold on the command line asks for the measurement; one in an ini file waits for somebody who does."""
        thresholds = ("min_throughput", "max_latency")
        return self.performance or any(self.sources.get(name) == "option" for name in thresholds)

    def source(self, name: str) -> str:
        return self.sources.get(name, "default")

    def describe(self) -> str:
        """One line for the header: `submariner: provider=lab (default), timeout=10 (from option)`."""
        return "submariner: " + ", ".join(f"{name}={value} ({source})" for name, value, source in self.given())

    def given(self) -> list[tuple[str, str, str]]:
        """(name, value, `default` or `from SOURCE`): the provider, then what somebody gave."""
        shown = ["provider", *(name for name in OPTIONS if name != "provider" and name in self.sources)]
        return [(name.replace("_", "-"), _show(getattr(self, name)), self._from(name)) for name in shown]

    def again(self) -> str:
        """The command line that asks the same world: `pytest --submariner-lab demo`."""
        words = ["pytest"]
        for name in _WORLD:
            value = getattr(self, name)
            if self.sources.get(name) == "option":
                flag = OPTIONS[name].flag
                for one in value if isinstance(value, tuple) else (value,):
                    words += [flag] if one is True else [flag, shlex.quote(str(getattr(one, "text", one)))]
        return " ".join(words)

    def _from(self, name: str) -> str:
        source = self.sources.get(name)
        return f"from {source}" if source else "default"


def resolve(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read every option. `pytest.UsageError` (exit 4) in one line for a value or a combination that cannot be."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in OPTIONS.values():
        raw, source, base = _raw(option, config, environ)
        if source is None:
            values[option.field] = () if option.repeatable else _default(option, base)
            continue
        sources[option.field] = source
        values[option.field] = _read(option, raw, source, base)
    if values["provider"] is None:
        values["provider"], because = _default_provider(values)
        if because is not None:
            sources["provider"] = because
    settings = Settings(**values, sources=sources)
    _refuse_contradictions(settings)
    return settings


def refuse(option: Option, value: object, source: str, why: str) -> pytest.UsageError:
    """The one form of every complaint about a setting: option, value, source, what is wrong and what is allowed."""
    return pytest.UsageError(f"{option.flag}: {_show(value)!r} (from {source}) {why}")


def nearest(word: str, known: tuple[str, ...] | list[str]) -> str:
    """`; did you mean X?`, or nothing when no known word is close."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _default(option: Option, base: Path) -> Any:
    """Files are named from the folder pytest was called in."""
    return base / str(option.default) if option.kind is Kind.OUTPUT_FILE and option.default else option.default


def _raw(option: Option, config: pytest.Config, environ: Mapping[str, str]) -> tuple[Any, str | None, Path]:
    """The first place that has a value: (value, source, folder that relative paths start from)."""
    here = config.invocation_params.dir
    value = config.getoption(option.dest, None)
    if value is not None:
        return value, "option", here
    if environ.get(option.env):
        text = environ[option.env]
        return (
            [part.strip() for part in text.split(",") if part.strip()] if option.repeatable else text,
            f"environment {option.env}",
            here,
        )
    inifile = config.inipath
    try:
        value = config.getini(option.ini)
    except (ValueError, TypeError, pytest.UsageError) as error:
        raise pytest.UsageError(f"{option.flag}: bad value (from ini {option.ini} in {inifile}): {error}") from None
    if value is None or value in ("", []):
        return None, None, here
    return value, f"ini {option.ini}", inifile.parent if inifile else here


def _read(option: Option, raw: Any, source: str, base: Path) -> Any:
    if option.repeatable:
        return tuple(_read_one(option, item, source, base) for item in raw)
    return _read_one(option, raw, source, base)


def _read_one(option: Option, raw: Any, source: str, base: Path) -> Any:
    if option.kind is Kind.FLAG:
        value: Any = _read_flag(option, raw, source)
    elif option.kind is Kind.SECONDS:
        value = _read_number(option, raw, source, "a time", "seconds above 0, such as 5 or 2.5")
    elif option.kind is Kind.COUNT:
        value = _read_count(option, raw, source)
    elif option.kind is Kind.SELECTOR:
        value = _read_selector(option, raw, source)
    elif option.kind is Kind.AMOUNT:
        value = _read_number(option, raw, source, "an amount", "numbers above 0, such as 100 or 2.5")
    else:
        value = _read_text(option, raw, source)
        if option.kind in (Kind.INPUT_FILE, Kind.OUTPUT_FILE):
            value = base / Path(value).expanduser()
        if option.kind is Kind.PROGRAM:
            value = _find_program(value, base)
    if option.kind is Kind.OUTPUT_FILE and value.is_dir():
        raise refuse(option, value, source, "is a folder; name a file")
    return value


def _find_program(word: str, base: Path) -> Path:
    """As a shell would: PATH is for words without a slash. One that is not there stays what it was, for whoever complains."""
    if os.sep in word or word.startswith("~"):
        return base / Path(word).expanduser()
    return Path(shutil.which(word) or word)


def _read_flag(option: Option, raw: Any, source: str) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word not in _TRUE | _FALSE:
        raise refuse(option, raw, source, "is neither yes nor no; allowed are 1, true, yes, on, 0, false, no, off")
    return word in _TRUE


def _read_number(option: Option, raw: Any, source: str, what: str, allowed: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise refuse(option, raw, source, f"is not {what}; allowed are {allowed}")
    if option.at_most is not None and value > option.at_most:
        raise refuse(option, raw, source, f"is too much; allowed are {allowed}, up to {option.at_most:g}")
    return value


def _read_count(option: Option, raw: Any, source: str) -> int:
    text = str(raw).strip()
    allowed = f"whole numbers from {option.at_least}" + (f" to {option.at_most:g}" if option.at_most else "")
    if not (text.isascii() and text.isdigit()) or not option.at_least <= int(text) <= (option.at_most or math.inf):
        raise refuse(option, raw, source, f"is not such a number; allowed are {allowed}")
    return int(text)


def _read_selector(option: Option, raw: Any, source: str) -> Selector:
    try:
        return Selector.parse(str(raw))
    except ValueError as error:
        raise refuse(
            option, raw, source, f"{error}; allowed are terms as in zone=a,disk!=slow,!spot,pool in (x, y)"
        ) from None


def _read_text(option: Option, raw: Any, source: str) -> str:
    word = str(raw).strip()
    if not word:
        raise refuse(option, raw, source, "is empty")
    if option.allowed and word not in option.allowed:
        raise refuse(
            option, raw, source, f"is not known; allowed are {', '.join(option.allowed)}{nearest(word, option.allowed)}"
        )
    return word


def _default_provider(values: Mapping[str, Any]) -> tuple[str, str | None]:
    """KUBECONFIG alone decides nothing: a lab run must not turn to production because a shell exports it."""
    for name in ("context", "kubeconfig"):
        if values[name]:
            return "kubeconfig", OPTIONS[name].flag
    if values["lab"]:
        return "lab", OPTIONS["lab"].flag
    return "lab", None


def _refuse_contradictions(s: Settings) -> None:
    if s.lab is not None and (s.context or s.kubeconfig):
        other = "context" if s.context else "kubeconfig"
        raise _contradiction(s, "lab", other, "a lab brings its own contexts; give one or the other")
    if s.lab is not None and s.provider != "lab":
        raise _contradiction(s, "provider", "lab", "only provider lab can attach to a lab")
    if s.provider != "kubeconfig" and (s.context or s.kubeconfig):
        other = "context" if s.context else "kubeconfig"
        raise _contradiction(s, "provider", other, f"provider {s.provider} makes its own clusters; leave one out")
    if s.provider == "kubeconfig" and not (s.context or s.kubeconfig):
        raise refuse(
            OPTIONS["provider"],
            s.provider,
            s.source("provider"),
            "needs clusters; give --submariner-context CTX for each, in the order c1, c2",
        )
    if len(s.kubeconfig) > 1 and s.context and len(s.kubeconfig) != len(s.context):
        raise pytest.UsageError(
            f"--submariner-kubeconfig is given {len(s.kubeconfig)} times and --submariner-context {len(s.context)} times: "
            "give one file for all contexts, or one per context"
        )
    if s.ssh_config is not None and s.exec in ("pod", "docker"):
        raise _contradiction(s, "exec", "ssh_config", "an ssh_config serves exec ssh and auto only")
    if s.subctl is not None and s.subctl_junit is not None:
        raise _contradiction(
            s, "subctl", "subctl_junit", "compare with one report, that of the binary or the one there is"
        )
    if s.sample is not None and not s.mesh and s.sources.get("sample") == "option":
        raise refuse(
            OPTIONS["sample"], s.sample, s.source("sample"), "is about the mesh; give --submariner-mesh as well"
        )
    if s.clusters is not None and s.provider != "lab":
        raise _contradiction(s, "clusters", "provider", "only a lab has as many clusters as one likes")
    if s.overview_page == s.results:
        raise refuse(
            OPTIONS["results"], s.results, s.source("results"), "is where the overview goes; name another file"
        )
    for name in ("sysdump", "markdown"):
        file = getattr(s, name)
        if file is not None and file in (s.results, s.overview_page):
            raise refuse(OPTIONS[name], file, s.source(name), "is where another report goes; name another file")
    if s.sysdump is not None and s.diagnose == "never":
        raise _contradiction(s, "sysdump", "diagnose", "a sysdump holds what a diagnosis saw")
    if s.plan and s.cleanup:
        raise _contradiction(s, "plan", "cleanup", "one touches nothing, the other removes; give one of them")


def _contradiction(s: Settings, one: str, other: str, why: str) -> pytest.UsageError:
    parts = [f"{OPTIONS[n].flag} {_show(getattr(s, n))} (from {s.source(n)})" for n in (one, other)]
    return pytest.UsageError(f"{parts[0]} contradicts {parts[1]}: {why}")


def _show(value: object) -> str:
    if isinstance(value, tuple | list):
        return ",".join(_show(v) for v in value)
    if isinstance(value, Selector):
        return _show(value.text)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return shlex.quote(str(value)) if " " in str(value) else str(value)
