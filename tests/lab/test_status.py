"""`submariner-lab status` of a running lab."""

from __future__ import annotations

from running_lab import RunningLab, submariner_lab


def test_status_draws_the_nodes_and_their_faults(lab: RunningLab) -> None:
    submariner_lab("inject", "--name", lab.name, "overlay-link-down").check_returncode()
    try:
        drawn = submariner_lab("status", "--name", lab.name).stdout.decode()
    finally:
        submariner_lab("heal", "--name", lab.name, "--all").check_returncode()
    assert f"lab {lab.name}: up for " in drawn
    for part in ("vxlan cable", "├─ c1-gw", "└─ c1-w1", "✗ overlay-link-down", "172.18.1.2", "10.8.2.1"):
        assert part in drawn
