"""Stock `subctl verify` for this run: the report the user named, or the binary run once on the run's first two clusters, by
whichever process of the run needs it first."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_submariner import xdist
from pytest_submariner.errors import RequirementUnmet, SubmarinerError
from pytest_submariner.keys import STOCK
from pytest_submariner.model.topology import Cluster, Topology

if TYPE_CHECKING:
    from pytest_submariner.compare.ginkgo import GinkgoReport
    from pytest_submariner.compare.progress import Progress
    from pytest_submariner.kube.client import KubeClient
    from pytest_submariner.session import Session

REPORT: Final = "subctl-verify.junit.xml"
LOG: Final = "subctl-verify.log"
_SHARED: Final = "subctl.json"
_SPECS: Final = 12
"""Of `--only connectivity`."""


def of(session: Session) -> Stock:
    """The one of this process."""
    return session.config.stash.setdefault(STOCK, Stock(session))


class Stock:
    """What the run is compared with, found out when somebody asks."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._report: GinkgoReport | None = None
        self._failed = False

    def report(self) -> GinkgoReport:
        """RequirementUnmet (a skip) when nothing was named or the clusters are too few. Why the binary gave no report is raised once in a
        run, as SubctlFailed; whoever asks later skips."""
        if self._report is None:
            if self._session.settings.subctl_junit is not None:
                self._report = _read(self._session.settings.subctl_junit)
            elif self._session.settings.subctl is not None:
                self._report = _read(self._run(self._session.topology))
            else:
                raise RequirementUnmet(
                    "needs stock subctl: run one with --submariner-subctl BIN, or name a report of subctl verify --junit-report "
                    "with --submariner-subctl-junit FILE"
                )
        return self._report

    def report_at_end(self, *, may_run: bool) -> GinkgoReport | None:
        """For the process that writes the reports, where no test may have asked: then the binary runs now (if it may), if paths were
        measured to compare with. SubmarinerError when it gives no report and nobody was told why."""
        session = self._session
        if self._report is not None or session.settings.subctl_junit is not None:
            return self.report()
        topology = session.recorder.topology
        if session.settings.subctl is None or topology is None or not (may_run and session.recorder.measured):
            return None
        try:
            self._report = _read(self._run(topology))
        except RequirementUnmet as reason:
            session.recorder.note(f"not compared with subctl: {reason}")
        return self._report

    @property
    def written(self) -> list[tuple[str, str]]:
        """(kind, file) of what the binary left, for the summary."""
        if self._session.settings.subctl is None or self._report is None:
            return []
        return [("subctl", str(self._folder / REPORT)), ("subctl", str(self._folder / LOG))]

    @property
    def _folder(self) -> Path:
        return self._session.settings.results.parent

    def _run(self, topology: Topology) -> Path:
        if len(topology.clusters) < 2:
            raise RequirementUnmet(f"subctl verify needs two clusters; this run has {len(topology.clusters)}")
        if self._failed:
            raise RequirementUnmet("subctl verify gave no report, as was said before")
        pair = topology.clusters[:2]
        if not (xdist.is_worker(self._session.config) or self._session.exchange.is_used):
            answer, is_mine = self._attempt(pair), True
        else:
            answer, is_mine = self._session.exchange.once(_SHARED, lambda: self._attempt(pair))
        if "error" in answer:
            from pytest_submariner.compare.subctl import SubctlFailed

            self._failed = True
            if is_mine:
                raise SubctlFailed(answer["error"])
            raise RequirementUnmet("subctl verify gave no report, as another worker said")
        return Path(answer["report"])

    def _attempt(self, pair: Sequence[Cluster]) -> dict[str, Any]:
        """Plain data, for the other processes."""
        started = time.monotonic()
        try:
            return {"report": str(self._verify(pair))}
        except SubmarinerError as error:
            return {"error": str(error)}
        except OSError as error:
            return {"error": f"subctl verify could not be run: {error}"}
        finally:
            self._session.recorder.add_timing("subctl_s", time.monotonic() - started)

    def _verify(self, pair: Sequence[Cluster]) -> Path:
        import yaml

        from pytest_submariner.compare import subctl
        from pytest_submariner.compare.progress import Progress
        from pytest_submariner.kube.merge import merge

        program = self._session.settings.subctl
        assert program is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        progress = Progress()
        tell = _Terminal(self._session.config)
        tell(f"subctl verify ({subctl.version(program)}) on {' and '.join(c.context for c in pair)}")
        with tempfile.TemporaryDirectory(prefix="pytest-submariner-subctl-") as folder:
            # Credentials: the folder is ours alone, and goes with the run.
            config = Path(folder) / "kubeconfig"
            config.write_text(yaml.safe_dump(merge({c.position: (c.kubeconfig, c.context) for c in pair})))
            verify = subctl.Verify(
                program=program,
                kubeconfig=config,
                contexts=(pair[0].position, pair[1].position),
                report=self._folder / REPORT,
                log=self._folder / LOG,
                deadline=_deadline(self._session.config),
            )
            try:
                verify.run(lambda line: _tell_spec(progress, line, tell))
            except BaseException:
                _remove(progress.namespaces, pair)
                raise
        report = _read(verify.report)
        if report.interrupted:
            _remove(progress.namespaces, pair)
            self._session.recorder.note(f"subctl verify did not end in time and was interrupted; see {verify.log}")
        return verify.report


def _read(file: Path) -> GinkgoReport:
    from pytest_submariner.compare.ginkgo import read_junit

    return read_junit(file)


def _deadline(config: pytest.Config) -> float:
    """In `time.monotonic()`: every spec may wait in vain once, the checks before them as well; never past the end that
    pytest-timeout's --session-timeout sets the run."""
    from pytest_submariner.compare.subctl import GRACE_S, OPERATION_TIMEOUT_S

    allowed = (_SPECS + 1.0) * OPERATION_TIMEOUT_S
    try:
        from pytest_timeout import SESSION_EXPIRE_KEY, SESSION_TIMEOUT_KEY  # type: ignore[import-untyped]
    except ImportError:
        pass
    else:
        if config.stash.get(SESSION_TIMEOUT_KEY, 0):
            allowed = min(allowed, max(config.stash[SESSION_EXPIRE_KEY] - time.time() - GRACE_S, 1.0))
    return time.monotonic() + allowed


def _remove(namespaces: Iterable[str], clusters: Iterable[Cluster]) -> None:
    """subctl deletes the namespace of a spec it is interrupted in; one that was killed does not."""
    from pytest_submariner.kube.client import KubeClient

    for cluster in clusters:
        kube = KubeClient(cluster.kubeconfig, cluster.context)
        try:
            there = {str(found["metadata"]["name"]) for found in kube.list("namespaces")}
            for name in there.intersection(namespaces):
                _delete(kube, name)
        except SubmarinerError as error:
            sys.stderr.write(f"submariner: could not remove what subctl left in {cluster.context}: {error}\n")
        finally:
            kube.close()


def _delete(kube: KubeClient, namespace: str) -> None:
    from pytest_submariner.kube.errors import ApiError

    try:
        kube.delete("namespaces", namespace)
    except ApiError as error:
        if error.status != HTTPStatus.CONFLICT:  # it is being removed
            raise


def _tell_spec(progress: Progress, line: str, tell: _Terminal) -> None:
    from pytest_submariner.compare.mapping import SPECS

    ended = progress.feed(line)
    if ended is not None:
        spec = next((spec for spec in SPECS if spec.text == ended.text), None)
        name = f"{spec.id:<7} {ended.word:<8} {ended.seconds:5.1f} s  {spec.path_id}" if spec else ended.text
        tell(f"  {name}")


class _Terminal:
    """Writes lines between pytest's own. Not with -q, and not in a pytest-xdist worker, which has no terminal."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._is_quiet = self._reporter is None or xdist.is_worker(config) or config.option.verbose < 0

    def __call__(self, line: str) -> None:
        if self._is_quiet:
            return
        with self._capture.global_and_fixture_disabled() if self._capture else nullcontext():
            self._reporter.ensure_newline()
            self._reporter.write_line(line)
