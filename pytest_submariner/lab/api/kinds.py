"""What kinds the server knows: names, scope, subresources and how they behave on update. Data and look-ups, no objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

READ_WRITE = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Subresource:
    """`pods/exec` and the like, as discovery names it."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group_version: str = ""
    """When it differs from the parent's: `autoscaling/v1` of Scale."""


@dataclass(frozen=True)
class PrinterColumn:
    """A column of `kubectl get` for a custom kind; `path` is a JSONPath as in a CRD (`.status.haStatus`)."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind in one version.

    The flags repeat what the genuine server's strategy of that kind says (kubernetes:pkg/registry/<group>/<kind>/strategy.go);
    custom kinds follow kubernetes:staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresource.
    """

    group: str = ""
    version: str = "v1"
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = READ_WRITE
    subresources: tuple[Subresource, ...] = ()
    status: bool = False
    """Has a status subresource: create and update drop `status`, `…/status` takes nothing else."""
    custom: bool = False
    """Defined by a CRD: no strategic merge, no field labels but metadata, no update without resourceVersion."""
    generation: bool = False
    """Counts changes of anything but metadata and status in metadata.generation."""
    returns_deleted: bool = False
    """DELETE answers with the object instead of a Status."""
    unconditional_update: bool = True
    create_on_update: bool = False
    field_labels: tuple[str, ...] = ()
    columns: tuple[PrinterColumn, ...] = ()
    singular: str = ""
    storage_version: str = ""
    """For a CRD with several versions: the one objects are kept in."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular_name(self) -> str:
        return self.singular or self.kind.lower()

    @property
    def qualified(self) -> str:
        """`pods`, `daemonsets.apps`: the resource as error texts name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """`Pod`, `DaemonSet.apps`: the kind as validation errors name it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def stored(self) -> bool:
        """False for kinds that only answer a question, such as SelfSubjectAccessReview."""
        return "get" in self.verbs

    @property
    def all_subresources(self) -> tuple[Subresource, ...]:
        status = (Subresource("status", self.kind, ("get", "patch", "update")),) if self.status else ()
        return tuple(sorted(self.subresources + status, key=lambda s: s.name))


@dataclass
class KindRegistry:
    """The kinds of one server; applying a CRD adds to it."""

    _kinds: dict[tuple[str, str, str], Kind] = field(default_factory=dict)
    _builtin: dict[tuple[str, str, str], Kind] = field(default_factory=dict)
    _served: set[tuple[str, str]] = field(default_factory=set)
    _served_at: int = -1
    generation: int = 0
    """Rises with every change, so that discovery documents can be kept until then."""

    @classmethod
    def of(cls, kinds: Iterable[Kind]) -> KindRegistry:
        registry = cls(_builtin={(k.group, k.version, k.plural): k for k in kinds})
        registry._kinds.update(registry._builtin)
        return registry

    def add(self, kind: Kind) -> None:
        self._kinds[kind.group, kind.version, kind.plural] = kind
        self.generation += 1

    def remove(self, kind: Kind) -> None:
        """Forgets the kind; one that was there from the start becomes again what it was."""
        key = kind.group, kind.version, kind.plural
        if self._kinds.pop(key, None):
            self.generation += 1
        if key in self._builtin:
            self._kinds[key] = self._builtin[key]

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._kinds.get((group, version, plural))

    def require(self, group: str, version: str, plural: str) -> Kind:
        """KeyError when it is not there: for kinds the server itself needs."""
        return self._kinds[group, version, plural]

    def serves(self, group: str, version: str) -> bool:
        """Whether there is any kind of that group and version."""
        if self._served_at != self.generation:
            self._served = {(g, v) for g, v, _ in self._kinds}
            self._served_at = self.generation
        return (group, version) in self._served

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def group_versions(self) -> dict[str, list[str]]:
        """Group to its versions, preferred first: v1 before v1beta1 before v1alpha1; the core group is ``""``."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._kinds:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        for versions in found.values():
            versions.sort(key=_version_rank)
        return found

    def in_version(self, group: str, version: str) -> list[Kind]:
        """By plural name, as discovery lists them."""
        return sorted((k for k in self if (k.group, k.version) == (group, version)), key=lambda k: k.plural)


def _version_rank(version: str) -> tuple[int, int, int]:
    """Kubernetes' order of versions: stable first, then beta, then alpha, each newest first (apimachinery:pkg/version)."""
    for rank, word in ((1, "beta"), (2, "alpha")):
        major, found, minor = version.removeprefix("v").partition(word)
        if found:
            return rank, -_number(major), -_number(minor)
    return 0, -_number(version.removeprefix("v")), 0


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
