"""The marks of the suites: what is wrong with one is told in a line, where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = (Path(__file__).parents[2] / "suites" / "conftest.py").read_text()


@pytest.fixture
def suites(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    return pytester


def write(pytester: pytest.Pytester, suite: str, mark: str, parameter: str = "path") -> None:
    folder = pytester.mkdir(suite)
    (folder / "test_it.py").write_text(
        f"import pytest\n\n\n@pytest.mark.{mark}\ndef test_it({parameter}):\n    assert {parameter}\n"
    )


@pytest.mark.parametrize(
    ("suite", "mark", "why"),
    [
        ("cross_cluster", "submariner_paths(source='pods')", "source: 'pods' is not a valid Kind; allowed are pod, *"),
        ("cross_cluster", "submariner_paths(size='jumbo')", "size 'jumbo' is not known; allowed are pmtu, bulk"),
        ("cross_cluster", "submariner_paths(role='gw')", "got an unexpected keyword argument 'role'"),
        ("cross_cluster", "submariner_paths('pod')", "takes 1 positional argument but 2 were given"),
        ("elsewhere", "submariner_paths()", "no suite is called 'elsewhere'; paths are generated for intra_cluster, *"),
        ("mesh", "submariner_path_groups('star')", "kind 'star' is not known; allowed are mesh, passive"),
    ],
)
def test_a_wrong_mark_is_one_line(suites: pytest.Pytester, suite: str, mark: str, why: str) -> None:
    write(suites, suite, mark)
    result = suites.runpytest()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"{suite}/test_it.py::test_it: mark {mark.partition('(')[0]}: {why}"])
    assert "Traceback" not in result.stdout.str()


def test_without_the_option_the_mesh_is_one_skip_that_names_it(suites: pytest.Pytester) -> None:
    write(suites, "mesh", "submariner_path_groups('mesh')", "group")
    result = suites.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*asks every ordered pair of nodes: give --submariner-mesh"])
    suites.runpytest("--submariner-mesh", "--collect-only").stdout.fnmatch_lines(["collected 36 items"])


def test_more_clusters_mean_more_items(suites: pytest.Pytester) -> None:
    write(suites, "cross_cluster", "submariner_path_groups('passive')", "group")
    suites.runpytest("--collect-only", "--submariner-clusters=3").stdout.fnmatch_lines(["collected 6 items"])
