"""Groups of paths in a run: which were selected, the paths each stands for, and what was left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_submariner.errors import RequirementUnmet
from pytest_submariner.model.path import PathCase
from pytest_submariner.paths.groups import MeshRow, PathGroup, mesh_size

if TYPE_CHECKING:
    from pytest_submariner.session import Session


class Groups:
    """The groups of a session's items. They are opened all at once, when the first one is asked, so that the prober can be asked
    for all of their paths in one go."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._selected: dict[str, PathGroup] = {}
        self._cases: dict[str, list[PathCase]] = {}
        self._unmet: dict[str, str] = {}
        self._is_open = False

    def select(self, groups: Iterable[PathGroup]) -> None:
        self._selected = {group.id: group for group in groups}

    def cases(self, group: PathGroup) -> list[PathCase]:
        """RequirementUnmet when the clusters have none of its paths."""
        self._open()
        if group.id not in self._cases and group.id not in self._unmet:
            self._expand(group)
        if group.id in self._unmet:
            raise RequirementUnmet(self._unmet[group.id])
        return self._cases[group.id]

    def every_case(self) -> dict[str, PathCase]:
        """The paths of all selected groups, by id. Empty without groups, and then no cluster is looked at."""
        self._open()
        return {case.id: case for group in self._selected for case in self._cases.get(group, ())}

    def _open(self) -> None:
        if self._is_open or not self._selected:
            return
        self._is_open = True
        for group in self._selected.values():
            self._expand(group)
        session = self._session
        session.recorder.planned = len(self.every_case().keys() | session.selected.keys())
        mesh = sum(
            len(self._cases.get(name, ())) for name, group in self._selected.items() if isinstance(group, MeshRow)
        )
        if mesh:
            session.recorder.note(self._mesh_words(mesh))

    def _expand(self, group: PathGroup) -> None:
        try:
            self._cases[group.id] = group.cases(self._session.probed, self._session.settings.sample)
        except RequirementUnmet as error:
            selector = self._session.settings.nodes
            by = f" (of those --submariner-nodes {selector.text} selects)" if selector is not None else ""
            self._unmet[group.id] = f"{error}{by}"

    def _mesh_words(self, asked: int) -> str:
        topology = self._session.probed
        nodes, size = sum(len(cluster.nodes) for cluster in topology.clusters), mesh_size(topology)
        sample = self._session.settings.sample
        words = f"mesh: {asked:,} of the {size:,} paths between {nodes} nodes are asked"
        return words if sample is None else f"{words}; --submariner-sample {sample} leaves out the others"
