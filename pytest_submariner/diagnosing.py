"""Diagnosis within a run: when it is due, what it asks with, where its findings go."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_submariner.errors import SubmarinerError
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Outcome
from pytest_submariner.report.text import count
from pytest_submariner.xdist import is_controller

if TYPE_CHECKING:
    from pytest_submariner.diagnose.diagnosis import Diagnosed
    from pytest_submariner.session import Session

logger = logging.getLogger(__name__)
_NOTED = 3
MOST = 4
"""Diagnoses in one run: paths that are asked one by one could all fail for the same reason."""


class Diagnosing:
    """Explains failing paths of a session as soon as they were measured, so that the items which fail can say why. Under
    pytest-xdist the controller does it once for all, at the end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._asked: dict[str, PathResult] = {}
        self._seen: set[str] = set()
        """Ids of failing paths that a diagnosis has looked at."""
        self._runs = 0
        self.last: Diagnosed | None = None

    def take(self, results: Mapping[str, PathResult], *, now: bool) -> None:
        """Note what was measured; with `now`, explain what fails among it."""
        self._asked.update(results)
        fails = _failing(results) - self._seen
        if now and fails and self._session.settings.diagnose != "never" and self._runs < MOST:
            self._run()

    def finish(self) -> None:
        """At the end of a run: what was not explained yet, and with `always` a look at clusters where all is well."""
        session, wanted = self._session, self._session.settings.diagnose
        if session.settings.sysdump is not None:
            wanted = "always"
        if is_controller(session.config):
            if not session.exchange.is_used:
                return
            self._asked.update({result.id: result for result in session.recorder.results})
        fails = _failing(self._asked) - self._seen
        if self._asked and (
            (wanted == "always" and self._runs == 0) or (wanted != "never" and fails and self._runs < MOST)
        ):
            self._run()

    def _run(self) -> None:
        from pytest_submariner.diagnose.diagnosis import Diagnosis

        self._runs += 1
        failed = {r.id for r in self._asked.values() if r.verdict.outcome is Outcome.FAILED}
        self._seen.update(failed)
        session = self._session
        try:
            diagnosis = Diagnosis(session.topology, session.kube, session.node_exec, self._ask)
            with session.progress.during(_looking(len(failed))):
                self.last = diagnosis.explain(self._asked.values())
        except SubmarinerError as error:
            session.recorder.note(f"causes could not be looked for: {error}")
            return
        for finding in self.last.findings:
            session.recorder.add_finding(finding)
        unread = self.last.observation.unread
        for reason in unread[:_NOTED]:
            session.recorder.note(f"diagnosis could not read {reason}")
        for note in self.last.notes:
            session.recorder.note(note)
        if len(unread) > _NOTED:
            session.recorder.note(f"diagnosis could not read {len(unread) - _NOTED} more")
        session.recorder.add_timing("diagnose_s", self.last.duration_s)

    def _ask(self, cases: Sequence[PathCase]) -> Mapping[str, PathResult]:
        from pytest_submariner.probes.prober import Prober

        prober = self._session.prober
        if isinstance(prober, Prober):
            return prober.again(cases)
        return prober.measure(cases)


def _looking(failed: int) -> str:
    return (
        f"looking for the causes of {count(failed, 'failing path')}"
        if failed
        else "looking whether all is as it should be"
    )


def _failing(results: Mapping[str, PathResult]) -> set[str]:
    return {path for path, result in results.items() if result.verdict.outcome is Outcome.FAILED}
