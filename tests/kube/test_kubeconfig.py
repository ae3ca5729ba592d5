"""Kubeconfigs as people have them, good and bad: every mistake is one line that names it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_api import Answer, Script

from pytest_submariner.errors import NodeUnreachable, TopologyError
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.kube.kubeconfig import open_access

NOWHERE = "https://127.0.0.1:1"


def refused(kubeconfig: Path, context: str | None = None) -> str:
    with pytest.raises(TopologyError) as caught:
        open_access(str(kubeconfig), context)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere") == f"kubeconfig {tmp_path}/nowhere: no such file"


def test_a_folder_is_not_a_kubeconfig(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"kubeconfig {tmp_path} cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [1", "is not YAML (line 1)"),
        (b"just words", "is not a kubeconfig"),
        (b"\xff\xfe\x00", "is not text"),
        (b"contexts: 7", "is not a kubeconfig"),
        (b"", "is not a kubeconfig"),
        (b"contexts: []", "has no current context: name one of no context at all"),
    ],
)
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    assert f"kubeconfig {path} {words}" in refused(path)


def test_an_unknown_context_comes_with_the_known_ones(write_kubeconfig: Callable[..., Path]) -> None:
    path = write_kubeconfig("config", {"c1": NOWHERE, "c2": NOWHERE})
    assert refused(path, "c3") == f"kubeconfig {path} has no context 'c3'; it knows c1, c2"


def test_without_current_context_one_must_be_named(write_kubeconfig: Callable[..., Path]) -> None:
    path = write_kubeconfig("config", {"c1": NOWHERE})
    assert refused(path) == f"kubeconfig {path} has no current context: name one of c1"


def test_a_context_without_its_cluster(write_kubeconfig: Callable[..., Path]) -> None:
    path = write_kubeconfig("config", {"c1": NOWHERE})
    path.write_text(path.read_text().replace("cluster: c1", "cluster: other"))
    assert f"context c1 of {path} cannot be used" in refused(path, "c1")


def test_several_files_are_merged_and_the_first_current_context_counts(
    write_kubeconfig: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = write_kubeconfig("one", {"c1": "https://one:6443"}, current="c1")
    second = write_kubeconfig("two", {"c2": "https://two:6443"}, current="c2")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{first}:{second}")
    assert (open_access(None, None).context, open_access(None, "c2").server) == ("c1", "https://two:6443")


def test_each_access_keeps_its_own_credentials(write_kubeconfig: Callable[..., Path]) -> None:
    path = write_kubeconfig("config", {"c1": NOWHERE, "c2": NOWHERE})
    accesses = [open_access(str(path), context) for context in ("c1", "c2")]
    assert [a.headers()["Authorization"] for a in accesses] == ["Bearer token-of-c1", "Bearer token-of-c2"]


def test_credentials_never_show_in_a_repr(write_kubeconfig: Callable[..., Path]) -> None:
    access = open_access(str(write_kubeconfig("config", {"c1": NOWHERE})), "c1")
    assert "token-of" not in repr(access)


def test_a_refused_connection_names_server_and_file(write_kubeconfig: Callable[..., Path]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{unused.getsockname()[1]}"
        path = write_kubeconfig("config", {"c1": server})
        with pytest.raises(NodeUnreachable, match="refused the connection") as caught:
            KubeClient(str(path), "c1").version()
    assert str(caught.value).startswith(f"context c1 of {path}: {server} ")


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("server", "no_proxy", "proxy"),
    [
        ("https://api.example:6443", "", PROXY),
        ("https://api.example:6443", "example", None),
        ("https://127.0.0.1:6443", "", None),
        ("https://localhost:6443", "elsewhere", None),
        ("https://[::1]:6443", "", None),
    ],
)
def test_a_proxy_of_the_environment_is_for_other_machines(
    write_kubeconfig: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    no_proxy: str,
    proxy: str | None,
) -> None:
    for name, value in (("https_proxy", PROXY), ("HTTPS_PROXY", PROXY), ("no_proxy", no_proxy), ("NO_PROXY", no_proxy)):
        monkeypatch.setenv(name, value)
    access = open_access(str(write_kubeconfig("config", {"c1": server})), "c1")
    assert access.configuration.proxy == proxy


def test_a_stand_in_on_loopback_is_reached_whatever_proxy_is_set(
    write_kubeconfig: Callable[..., Path], server: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.on("GET /version", Answer({"gitVersion": "v1"}))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert KubeClient(str(write_kubeconfig("config", {"c1": server})), "c1").version() == "v1"
