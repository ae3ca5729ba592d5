"""--submariner-cleanup: remove what killed runs left behind, in the clusters the settings name, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from pytest_submariner.errors import SubmarinerError
from pytest_submariner.kube.ownership import OWNER, OWNER_LABEL
from pytest_submariner.providers.contexts import Place, places
from pytest_submariner.settings import Settings


def clean(settings: Settings) -> pytest.ExitCode:
    """Say what was removed, a line each. TESTS_FAILED when some cluster could not be asked; the others are cleaned all the same."""
    failed = False
    try:
        wanted = list(_places(settings))
    except SubmarinerError as error:
        return _complain(str(error))
    if not wanted:
        _say("no lab is running: nothing to clean")
    for place in wanted:
        try:
            removed = remove(place)
        except SubmarinerError as error:
            _complain(f"{place.words}: {error}")
            failed = True
            continue
        for name in removed:
            _say(f"{place.words}: removed {name}")
        if not removed:
            _say(f"{place.words}: nothing was left")
    return pytest.ExitCode.TESTS_FAILED if failed else pytest.ExitCode.OK


def remove(place: Place) -> list[str]:
    """Delete every namespace that carries our owner label, a running run's too; all we create lives in such a namespace."""
    from pytest_submariner.kube.client import KubeClient

    kube = KubeClient(place.kubeconfig, place.context)
    try:
        names = [str(space["metadata"]["name"]) for space in kube.list("namespaces", labels=f"{OWNER_LABEL}={OWNER}")]
        for name in names:
            kube.delete("namespaces", name)
        return [f"namespace {name}" for name in names]
    finally:
        kube.close()


def _places(settings: Settings) -> Iterator[Place]:
    if settings.provider == "kubeconfig":
        yield from places(settings)
        return
    from pytest_submariner.providers.lab import running_labs

    for lab in running_labs():
        if settings.lab in (None, lab["name"]):
            for i, context in enumerate(lab["contexts"], start=1):
                yield Place(f"c{i}", lab["kubeconfig"], context)


def _say(line: str) -> None:
    sys.stdout.write(f"submariner: {line}\n")


def _complain(line: str) -> pytest.ExitCode:
    sys.stderr.write(f"submariner: {line}\n")
    return pytest.ExitCode.TESTS_FAILED
