"""Which context of which kubeconfig is c1, c2, …: read from files alone, without asking a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_submariner.errors import TopologyError
from pytest_submariner.kube.kubeconfig import Choice, choose
from pytest_submariner.options import OPTIONS
from pytest_submariner.settings import Settings, refuse


@dataclass(frozen=True)
class Place:
    """One cluster of the run, before it was asked: `kubeconfig` None means what KUBECONFIG says, `context` None the current one."""

    position: str
    kubeconfig: str | None
    context: str | None

    @property
    def words(self) -> str:
        """How messages name it: `c1 (context north)`."""
        return f"{self.position} ({f'context {self.context}' if self.context else f'kubeconfig {self.kubeconfig}'})"


def places(settings: Settings) -> list[Place]:
    """One kubeconfig serves all contexts; several go with the contexts pairwise; without contexts each means its current one."""
    files = [str(file) for file in settings.kubeconfig]
    if not settings.context:
        return [Place(f"c{i}", file, None) for i, file in enumerate(files, start=1)]
    one_each = len(files) == len(settings.context)
    shared = files[0] if files else None
    paired = [(files[i] if one_each else shared, context) for i, context in enumerate(settings.context)]
    return [Place(f"c{i}", file, context) for i, (file, context) in enumerate(paired, start=1)]


def check(settings: Settings) -> None:
    """`pytest.UsageError` (exit 4) for a file that is no kubeconfig, a context that is not in it, one that is given twice."""
    seen: dict[tuple[str, str], str] = {}
    for place in places(settings):
        name = "context" if place.context else "kubeconfig"
        value = place.context or place.kubeconfig
        try:
            choice: Choice = choose(place.kubeconfig, place.context)
        except TopologyError as error:
            raise refuse(OPTIONS[name], value, settings.source(name), f"cannot be used: {error}") from None
        key = (":".join(map(str, choice.paths)), choice.context)
        if key in seen:
            raise refuse(
                OPTIONS[name],
                value,
                settings.source(name),
                f"is cluster {seen[key]} already; {place.position} must be another",
            )
        seen[key] = place.position
