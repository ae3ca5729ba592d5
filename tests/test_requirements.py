"""What a machine lacks is one line, before anything of the lab is there."""

from __future__ import annotations

import errno

import pytest

from pytest_submariner.errors import LabUnavailable
from pytest_submariner.lab import netlink, requirements


def test_a_kernel_without_vxlan_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_bridges(batch: netlink.Batch) -> None:
        if "vxlan" in batch.messages[0][3]:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(requirements, "_try", only_bridges)
    with pytest.raises(LabUnavailable) as raised:
        requirements.check_kernel()
    assert str(raised.value).startswith("the kernel makes no VXLAN devices (")
    assert "load the module vxlan" in str(raised.value)
    assert "\n" not in str(raised.value)
