"""`submariner-lab status` as people see it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_submariner.lab.drawing import draw


def lab(clusters: int = 2, gateways: int = 1, workers: int = 1, faults: tuple[str, ...] = ()) -> dict[str, Any]:
    """An entry of `status --json`."""
    nodes = []
    for number in range(1, clusters + 1):
        names = [f"c{number}-gw{i}" if gateways > 1 else f"c{number}-gw" for i in range(1, gateways + 1)]
        names += [f"c{number}-w{i}" for i in range(1, workers + 1)]
        for host, name in enumerate(names, 1):
            role = "gateway" if "-gw" in name else "non-gateway"
            addresses = {"ip": f"172.18.{number}.{host}", "cni_ip": f"10.{7 + number}.{host}.1"}
            nodes.append({"name": name, "cluster": f"c{number}", "role": role, **addresses})
    about = {"name": "mine", "profile": "default", "cable": "vxlan", "pid": 4711, "age_s": 61.5}
    return {**about, "nodes": nodes, "faults": list(faults)}


def test_two_clusters_with_faults() -> None:
    text = draw(lab(faults=("overlay-link-down@c1-w1", "cable-one-way-acl@c1-gw")))
    assert text == (
        "lab mine: up for 62 s, pid 4711, profile default\n"
        "\n"
        "  vxlan cable  role         underlay         CNI\n"
        "  │\n"
        "  ├─ c1-gw     gateway      172.18.1.1       10.8.1.1\n"
        "  │  │  ✗ cable-one-way-acl\n"
        "  │  │ vx-submariner\n"
        "  │  └─ c1-w1  non-gateway  172.18.1.2       10.8.2.1\n"
        "  │     ✗ overlay-link-down\n"
        "  │\n"
        "  └─ c2-gw     gateway      172.18.2.1       10.9.1.1\n"
        "     │ vx-submariner\n"
        "     └─ c2-w1  non-gateway  172.18.2.2       10.9.2.1\n"
        "\n"
        "  ✗ fault; undo all with: submariner-lab heal --all --name mine"
    )


def test_every_labelled_gateway_is_on_the_cable() -> None:
    lines = draw(lab(gateways=2)).splitlines()
    assert [line for line in lines if "gw" in line] == [
        "  ├─ c1-gw1     gateway      172.18.1.1       10.8.1.1",
        "  ├─ c1-gw2     gateway      172.18.1.2       10.8.2.1",
        "  ├─ c2-gw1     gateway      172.18.2.1       10.9.1.1",
        "  └─ c2-gw2     gateway      172.18.2.2       10.9.2.1",
    ]


@pytest.mark.parametrize("size", [(2, 1, 0), (9, 1, 1), (2, 2, 50)])
def test_fits_a_terminal(size: tuple[int, int, int]) -> None:
    text = draw(lab(*size, faults=("nf-filter-forward-policy-drop@c1-gw",)))
    assert max(map(len, text.splitlines())) <= 80


def test_many_nodes_are_counted_but_those_with_faults() -> None:
    text = draw(lab(workers=50, faults=("overlay-link-down@c1-w40",)))
    assert "│  ├─ c1-w40" in text
    assert "│  └─ 38 more, c1-w50 the last" in text
    assert "   └─ 39 more, c2-w50 the last" in text
    assert len(text.splitlines()) < 45


def test_plain_is_ascii() -> None:
    text = draw(lab(faults=("overlay-link-down@c1-w1",)), plain=True)
    assert text.isascii()
    assert "  |     x overlay-link-down" in text


@pytest.mark.parametrize(("seconds", "words"), [(3.2, "3 s"), (600, "10 min"), (7500, "2 h 05 min")])
def test_age_in_words(seconds: float, words: str) -> None:
    assert f"up for {words}," in draw({**lab(), "age_s": seconds})
