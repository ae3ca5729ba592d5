"""A run of pytest with the plugin, against clusters that exist as plain data only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

CONFTEST = """
import json
import os
from pathlib import Path

from pytest_submariner import Cluster, Expectation, Node, PathResult, Role, Topology, Verdict

HERE = Path(__file__).parent


def nodes(position):
    return tuple(Node(f"{position}-{name}", position, role, f"172.18.{position[1:]}.{i}") for i, (name, role) in enumerate(
        [("gw", Role.GATEWAY), ("w1", Role.NON_GATEWAY)], start=1))


def log(line):
    with (HERE / "log.txt").open("a") as file:
        file.write(line + "\\n")


def pytest_submariner_topology(config):
    log(f"topology {os.getpid()}")
    return Topology(tuple(Cluster(p, p, None, p, nodes(p), cable_driver="vxlan") for p in ("c1", "c2")), "fake")


class Prober:
    def measure(self, cases):
        log("measure " + " ".join(case.id for case in cases))
        words = json.loads((HERE / "verdicts.json").read_text())
        return {case.id: PathResult(case.id, Expectation.OK, Verdict.from_word(words.get(case.id, "ok")), attempts=1,
                                    detail=f"detail of {case.id}", command="ping -c1 example") for case in cases}

    def close(self):
        log(f"close {os.getpid()}")


def pytest_submariner_prober(config, topology):
    return Prober()


def pytest_submariner_path_finished(config, result):
    log(f"finished {result.id} {result.verdict.word}")
"""

PATHS = """
import pytest

PATHS = ["pod.gw.c1--pod.gw.c2--tcp", "pod.gw.c1--pod.ngw.c2--tcp", "pod.ngw.c1--pod.gw.c2--tcp"]


@pytest.mark.parametrize("path", PATHS)
def test_path(assert_path, path):
    assert_path(path)
"""


class Fake:
    """A project whose conftest answers the plugin's own hooks: a topology, and a prober that gives the verdicts of
    `verdicts.json` (path id to word, ok by default) and logs every batch it was asked."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makeconftest(CONFTEST)
        self.verdicts({})

    def verdicts(self, words: Mapping[str, str]) -> None:
        (self.pytester.path / "verdicts.json").write_text(json.dumps(words))

    def contexts(self) -> list[str]:
        """Options that name two clusters which outlive the run."""
        self.write("config", "contexts: [{name: north}, {name: south}]\n")
        return ["--submariner-kubeconfig=config", "--submariner-context=north", "--submariner-context=south"]

    @property
    def log(self) -> list[str]:
        file = self.pytester.path / "log.txt"
        return file.read_text().splitlines() if file.exists() else []

    def logged(self, word: str) -> list[str]:
        return [line.removeprefix(f"{word} ") for line in self.log if line.startswith(word)]

    def write(self, name: str, text: str) -> Path:
        file = self.pytester.path / name
        file.write_text(text)
        return file

    def paths(self) -> None:
        """Three items, one per path."""
        self.pytester.makepyfile(test_paths=PATHS)
