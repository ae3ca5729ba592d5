"""What a diagnosis adds to reports beyond its findings: what was seen on a path's way, how a cause works, where to read on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, metadata
from typing import TYPE_CHECKING

from pytest_submariner.report.allure_place import Link
from pytest_submariner.report.allure_results import Attachment

if TYPE_CHECKING:
    from pytest_submariner.diagnose.cause import Cause
    from pytest_submariner.diagnose.diagnosis import Diagnosed
    from pytest_submariner.diagnose.flow import Flow

_CHECKOUT = "../.."
"""From reports/allure/index.html to the folder that has docs/."""
_REPOSITORIES = {"flannel": "flannel-io/flannel", "k3s": "k3s-io/k3s", "systemd": "systemd/systemd"}
"""Those of sources that are not in Submariner's own organisation."""


class Proofs:
    """Of one run; `diagnosed` is None when nothing was diagnosed."""

    def __init__(self, diagnosed: Diagnosed | None) -> None:
        self._seen = diagnosed.observation if diagnosed is not None else None

    def attachments(self, path_id: str) -> Sequence[Attachment]:
        if self._seen is None:
            return ()
        flow = self._flows.get(path_id)
        return [] if flow is None else list(self._of(flow))

    def _of(self, flow: Flow) -> Iterator[Attachment]:
        from pytest_submariner.diagnose.objects.redaction import redact
        from pytest_submariner.diagnose.sysdump.dumpfiles import against_model
        from pytest_submariner.diagnose.sysdump.surroundings import surroundings

        assert self._seen is not None
        for section in surroundings(self._seen, flow):
            yield Attachment(section.title, redact(section.text))
        for node in dict.fromkeys(flow.nodes):
            sight = self._seen.sight(node)
            if sight is not None and (text := against_model(sight)):
                yield Attachment(f"{node.name} against what Submariner should have made", redact(text))

    def mechanism(self, code: str) -> str:
        cause = self._cause(code)
        return cause.mechanism if cause is not None else ""

    def links(self, code: str) -> Sequence[Link]:
        cause = self._cause(code)
        if cause is None:
            return ()
        upstream = [link for source in cause.sources if (link := _issue(source)) is not None]
        return [Link(f"{documentation()}/{cause.link}", f"{code} in root-causes.md"), *upstream]

    def _cause(self, code: str) -> Cause | None:
        from pytest_submariner.diagnose.catalogue import BY_CODE

        return BY_CODE.get(code)

    @cached_property
    def _flows(self) -> dict[str, Flow]:
        return {flow.id: flow for flow in self._seen.flows} if self._seen is not None else {}


def _issue(source: str) -> Link | None:
    """`submariner issue 1275` as a link; other sources are code and RFCs, which the catalogue names in words."""
    found = re.fullmatch(r"([a-z0-9-]+) (?:issue|pull request) (\d+)", source)
    if found is None:
        return None
    repository = _REPOSITORIES.get(found[1], f"submariner-io/{found[1]}")
    return Link(f"https://github.com/{repository}/issues/{found[2]}", source, "issue")


def documentation() -> str:
    """Where docs/ is: the project's URL when its metadata name one, else the checkout the report was made in."""
    try:
        urls = metadata("pytest-submariner").get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    named: dict[str, str] = dict(url.split(", ", 1) for url in urls if ", " in url)
    return named.get("Documentation", _CHECKOUT).rstrip("/")
