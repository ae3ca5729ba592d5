"""--submariner-plan: what would be asked, and nothing touched."""

from __future__ import annotations

import pytest
from fake_run import Fake


def test_a_plan_lists_paths_with_promise_and_sentence(fake: Fake) -> None:
    fake.paths()
    fake.pytester.makepyfile(test_other="def test_clusters(clusters): pass\ndef test_plain(): pass")
    result = fake.pytester.runpytest("--submariner-plan")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*= submariner plan =*",
            "pod.gw.c1--pod.gw.c2--tcp *ok *Pod on a gateway node → Pod on a gateway node, c1 → c2, TCP",
            "3 paths; 1 other tests use the clusters; 5 tests in all. Nothing was touched.",
        ]
    )
    assert fake.log == []


def test_a_plan_follows_the_selection(fake: Fake) -> None:
    fake.paths()
    text = fake.pytester.runpytest("--submariner-plan", "-k", "ngw.c1").stdout.str()
    assert "pod.ngw.c1--pod.gw.c2--tcp" in text
    assert "pod.gw.c1--pod.gw.c2--tcp" not in text


def test_a_plan_does_not_hide_collection_errors(fake: Fake) -> None:
    fake.pytester.makepyfile("import nowhere_to_be_found")
    result = fake.pytester.runpytest("--submariner-plan")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "Nothing was touched" not in result.stdout.str()


def test_one_cluster_where_two_are_needed_is_told_before_anything_is_asked(fake: Fake) -> None:
    fake.write("config", "contexts: [{name: north, context: {}}]\n")
    fake.paths()
    result = fake.pytester.runpytest("--submariner-kubeconfig=config", "--submariner-context=north")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --submariner-context names 1 cluster (north), and 3 of 3 selected paths need another, first pod.gw.c1--*"
        ]
    )
    assert fake.log == []


def test_a_context_from_the_environment_is_checked_only_where_it_is_used(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_SUBMARINER_CONTEXT", "north")
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    fake.paths()
    fake.pytester.makepyfile(test_plain="def test_plain(): pass")
    assert fake.pytester.runpytest("test_plain.py").ret == 0
    result = fake.pytester.runpytest("test_paths.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --submariner-context: 'north' (from environment *) cannot be used: *no such file"]
    )
