"""Contexts of several kubeconfigs in one: nothing collides, nothing else comes along, files stay found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_submariner.errors import TopologyError
from pytest_submariner.kube.merge import merge


def kubeconfig(folder: Path, server: str, user: dict[str, Any], **cluster: Any) -> str:
    """As kubeadm writes them: the same names in every cluster."""
    folder.mkdir()
    document = {
        "clusters": [{"name": "kubernetes", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "admin", "user": user}, {"name": "somebody", "user": {"token": "secret"}}],
        "contexts": [{"name": "admin@kubernetes", "context": {"cluster": "kubernetes", "user": "admin"}}],
        "current-context": "admin@kubernetes",
    }
    (folder / "config").write_text(yaml.safe_dump(document))
    return str(folder / "config")


def test_two_files_that_use_the_same_names_stay_two_clusters(tmp_path: Path) -> None:
    north = kubeconfig(tmp_path / "north", "https://north", {"token": "n"})
    south = kubeconfig(tmp_path / "south", "https://south", {"token": "s"})
    made = merge({"c1": (north, "admin@kubernetes"), "c2": (south, None)})
    servers = {entry["name"]: entry["cluster"]["server"] for entry in made["clusters"]}
    tokens = {entry["name"]: entry["user"]["token"] for entry in made["users"]}
    contexts = {e["name"]: (e["context"]["cluster"], e["context"]["user"]) for e in made["contexts"]}
    assert servers == {"c1": "https://north", "c2": "https://south"}
    assert tokens == {"c1": "n", "c2": "s"}
    assert contexts == {"c1": ("c1", "c1"), "c2": ("c2", "c2")}
    assert "secret" not in yaml.safe_dump(made)


def test_relative_files_and_plugins_are_still_found(tmp_path: Path) -> None:
    user = {
        "client-key": "pki/key",
        "client-certificate": "/abs/crt",
        "exec": {"command": "./bin/login", "args": ["x"]},
    }
    file = kubeconfig(tmp_path / "a", "https://a", user, **{"certificate-authority": "ca.crt"})
    made = merge({"c1": (file, None)})
    folder = tmp_path / "a"
    assert made["clusters"][0]["cluster"]["certificate-authority"] == str(folder / "ca.crt")
    found = made["users"][0]["user"]
    assert found["client-key"] == str(folder / "pki/key")
    assert found["client-certificate"] == "/abs/crt"
    assert found["exec"] == {"command": str(folder / "./bin/login"), "args": ["x"]}


def test_plugin_without_a_path_is_left_to_path(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "a", "https://a", {"exec": {"command": "aws"}})
    assert merge({"c1": (file, None)})["users"][0]["user"]["exec"]["command"] == "aws"


def test_parts_may_be_in_different_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "contexts").write_text("contexts: [{name: x, context: {cluster: far, user: me, namespace: ns}}]\n")
    (tmp_path / "rest").write_text(
        "clusters: [{name: far, cluster: {server: https://far}}]\nusers: [{name: me, user: {token: t}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'contexts'}:{tmp_path / 'rest'}")
    made = merge({"c1": (None, "x")})
    assert made["clusters"][0]["cluster"] == {"server": "https://far"}
    assert made["contexts"][0]["context"] == {"cluster": "c1", "user": "c1", "namespace": "ns"}


def test_context_that_names_a_cluster_nobody_has(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("contexts: [{name: x, context: {cluster: far}}]\n")
    with pytest.raises(TopologyError, match=r"context x of .*config cannot be used: its cluster 'far' is in none"):
        merge({"c1": (str(tmp_path / "config"), "x")})
