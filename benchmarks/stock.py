"""What the stock tool says of a lab: `subctl verify` by its JUnit report, `subctl diagnose all` by the problems it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.labs import Lab
from pytest_submariner.compare.ginkgo import ReportUnreadable, State, read_junit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from subctl_output import problems

_VERIFY_S = 420
_DIAGNOSE_S = 240
_OUTPUT = re.compile("(?<=Unexpected output).*")
"""What a probe printed, which differs from run to run."""


@dataclass(frozen=True)
class Said:
    """`verify`: how many specs failed, in words; `diagnose`: problems that a healthy lab does not have."""

    verify: str
    diagnose: tuple[str, ...]


class Stock:
    """The tool at `program`, on one lab. What `diagnose all` says of the healthy lab (parts that do not run there) is asked first, and
    never counted."""

    def __init__(self, program: Path, lab: Lab) -> None:
        self._program = program
        self._lab = lab
        self._environment = {**os.environ, "KUBECONFIG": lab.description["kubeconfig"]}
        self._usual = self._problems()

    def look(self) -> Said:
        """Both at once; about two minutes."""
        with ThreadPoolExecutor(2) as pool:
            verify, diagnose = pool.submit(self._verify), pool.submit(self._problems)
            return Said(verify.result(), tuple(sorted(diagnose.result() - self._usual)))

    def _verify(self) -> str:
        one, other = self._lab.description["contexts"][:2]
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            argv = [str(self._program), "verify", "--context", one, "--tocontext", other, "--only", "connectivity"]
            argv += ["--connection-timeout", "20", "--connection-attempts", "1", "--junit-report", str(report)]
            try:
                subprocess.run(argv, env=self._environment, capture_output=True, timeout=_VERIFY_S, check=False)
                found = read_junit(report)
            except subprocess.TimeoutExpired:
                return f"did not end in {_VERIFY_S} s"
            except ReportUnreadable:
                return "did not begin"
        ran = [spec for spec in found.specs if spec.state not in (State.SKIPPED, State.DESELECTED)]
        failed = [spec for spec in ran if spec.state is not State.PASSED]
        return f"{len(failed)} of {len(ran)} specs fail" if failed else "passes"

    def _problems(self) -> set[str]:
        contexts = self._lab.description["contexts"]
        with ThreadPoolExecutor(len(contexts)) as pool:
            return set().union(*pool.map(self._diagnose, contexts))

    def _diagnose(self, context: str) -> set[str]:
        argv = [str(self._program), "diagnose", "all", "--context", context, "--validation-timeout", "10"]
        try:
            done = subprocess.run(
                argv, env=self._environment, capture_output=True, text=True, timeout=_DIAGNOSE_S, check=False
            )
        except subprocess.TimeoutExpired:
            return {f"did not end in {_DIAGNOSE_S} s"}
        return {_OUTPUT.sub("", problem) for problem in problems(done.stdout + done.stderr)}
