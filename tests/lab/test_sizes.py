"""Holes for large packets in a running lab: what is told by a router, and what vanishes without a word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from running_lab import RunningLab

QUICK = "--submariner-timeout=1"


@contextlib.contextmanager
def changed(lab: RunningLab, node: str, do: str, undo: str) -> Iterator[None]:
    done = lab.run(node, *do.split())
    assert done.returncode == 0, done.stderr.decode()
    try:
        yield
    finally:
        assert lab.run(node, *undo.split()).returncode == 0


def ask(lab: RunningLab, folder: Path, *ids: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    wanted = " or ".join(ids)
    status, results, output = lab.pytest(["suites/cross_cluster", "-k", wanted, QUICK], folder)
    return status, {path["id"]: path for path in results["paths"]}, output


def test_a_silent_hole_in_the_underlay_stalls_data_and_is_measured_to_the_byte(lab: RunningLab, tmp_path: Path) -> None:
    """A hop between the clusters takes 1300 bytes and tells nobody. VXLAN takes 50 of them."""
    hole = "PREROUTING -p udp --dport 4500 -m length --length 1301:65535 -j DROP"
    between = "pod.ngw.c1--pod.gw.c2"
    with changed(lab, "c2-gw", f"iptables -t raw -A {hole}", f"iptables -t raw -D {hole}"):
        status, paths, output = ask(lab, tmp_path, between)
    assert status == 1, output
    small = {"udp": "ok", "icmp": "ok"}
    large = {"tcp": "stalled", "icmp--pmtu": "blocked", "tcp--bulk": "stalled"}
    wanted = {f"{host}{between}--{way}": word for host in ("", "host") for way, word in {**small, **large}.items()}
    assert {name: path["verdict"] for name, path in paths.items()} == wanted
    assert paths[f"{between}--icmp--pmtu"]["extra"] == {"mtu": 1250}
    assert (
        "only up to 1250 bytes (larger ones end in silence); must be 1450" in paths[f"{between}--icmp--pmtu"]["detail"]
    )
    assert "of 1048576 bytes were not acknowledged" in paths[f"{between}--tcp--bulk"]["detail"]
    assert f"{between}--tcp--bulk: stalled (handshake done, bulk data hangs)" in output


def test_a_tunnel_with_a_lower_mtu_tells_so_and_only_the_largest_packets_suffer(
    lab: RunningLab, tmp_path: Path
) -> None:
    """The gateway names its MTU to senders and clamps the MSS to it, so connections work."""
    lower, back = ("ip link set vxlan-tunnel mtu 1300", "ip link set vxlan-tunnel mtu 1450")
    with changed(lab, "c1-gw", lower, back):
        status, paths, output = ask(lab, tmp_path, "pod.ngw.c1--pod.ngw.c2")
    assert status == 1, output
    failing = {name: path["detail"] for name, path in paths.items() if path["verdict"] != "ok"}
    assert set(failing) == {f"{kind}.ngw.c1--pod.ngw.c2--icmp--pmtu" for kind in ("pod", "hostpod")}
    assert all("(larger ones end in fragmentation needed, next MTU 1300)" in detail for detail in failing.values())


def test_the_way_back_healthy_again(lab: RunningLab, tmp_path: Path) -> None:
    status, results, output = lab.pytest(["suites/cross_cluster/test_sizes.py"], tmp_path)
    assert status == 0, output
    assert len(results["paths"]) == 32
    assert {path["extra"].get("mtu", 1450) for path in results["paths"] if path["id"].endswith("pmtu")} == {1450}
