"""Where clusters come from. Each provider is imported when it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_submariner.providers.base import Provider, Run
    from pytest_submariner.settings import Settings


def open_provider(settings: Settings, run: Run) -> Provider:
    """The provider the settings name; they were checked when they were read."""
    if settings.provider == "kind":
        from pytest_submariner.providers.kind import KindProvider

        return KindProvider(settings, run)
    if settings.provider == "kubeconfig":
        from pytest_submariner.providers.kubeconfig import KubeconfigProvider

        return KubeconfigProvider(settings)
    from pytest_submariner.providers.lab import LabProvider

    return LabProvider(settings, run)
