"""The plugin in a project that does not use it, and beside its neighbours: light, silent, harmless."""

from __future__ import annotations

import pytest
from fake_run import Fake

HEAVY = ("kubernetes", "paramiko", "aiohttp", "allure", "pytest_kind", "cryptography", "pyroute2", "yaml", "rich")
CHECK_MODULES = f"""
import atexit
import sys

@atexit.register
def tell():
    loaded = sorted(m for m in {HEAVY!r} if m in sys.modules)
    sys.stderr.write(f"LOADED {{loaded}}\\n")
"""
ALONE = ("-p", "no:xdist", "-p", "no:allure_pytest", "-p", "no:pytest-kind")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version", "--version"),
        ("--markers",),
        ("--fixtures",),
        ("--collect-only",),
        ("--submariner-plan",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_showing_and_collecting_load_no_library_for_clusters(fake: Fake, arguments: tuple[str, ...]) -> None:
    fake.paths()
    fake.write("watch_imports.py", CHECK_MODULES)
    result = fake.pytester.runpytest_subprocess(*arguments, *ALONE, "-p", "watch_imports")
    assert result.ret == 0
    result.stderr.fnmatch_lines(["LOADED []"])
    assert fake.log == []


def test_collecting_works_with_nothing_configured(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    fake.paths()
    result = fake.pytester.runpytest("--collect-only", "-q")
    result.stdout.fnmatch_lines(["test_paths.py::test_path[[]pod.gw.c1--pod.gw.c2--tcp]", "3 tests collected*"])


def test_an_unused_plugin_costs_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        def test_fixtures(request):
            assert not [name for name in request.fixturenames if "submariner" in name]
    """
    )
    before = set(pytester.path.rglob("*"))
    result = pytester.runpytest("-p", "no:cacheprovider", "--setup-show")
    assert result.ret == 0
    assert "submariner:" not in result.stdout.str()
    assert "reach" not in result.stdout.str()
    assert {p for p in set(pytester.path.rglob("*")) - before if "__pycache__" not in str(p)} == set()


@pytest.mark.parametrize("plugins", [(), ALONE[:2], ALONE[2:4], ALONE[4:6], ALONE], ids=str)
def test_neighbours_may_be_there_or_not(fake: Fake, plugins: tuple[str, ...]) -> None:
    fake.paths()
    fake.verdicts({"pod.gw.c1--pod.gw.c2--tcp": "blocked"})
    result = fake.pytester.runpytest_subprocess(*plugins)
    assert result.parseoutcomes() == {"passed": 2, "failed": 1}
    assert result.ret == 1


def test_without_a_terminal(fake: Fake) -> None:
    fake.paths()
    fake.verdicts({"pod.gw.c1--pod.gw.c2--tcp": "blocked"})
    result = fake.pytester.runpytest_subprocess("-p", "no:terminal", "--submariner-results=results.json")
    assert result.ret == 1
    assert (result.outlines, result.errlines) == ([], [])
    assert (fake.pytester.path / "results.json").exists()
    assert fake.pytester.runpytest_subprocess("-p", "no:terminal", "--submariner-plan").ret == 0


def test_switched_off_it_is_gone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(pytestconfig): assert not hasattr(pytestconfig.option, 'submariner_provider')")
    assert pytester.runpytest_subprocess("-p", "no:submariner").ret == 0


def test_beside_kind_and_allure_and_xdist(fake: Fake) -> None:
    fake.paths()
    result = fake.pytester.runpytest_subprocess(
        "--alluredir=allure", "--kubeconfig=theirs", "--cluster-name=theirs", "-n2"
    )
    assert result.parseoutcomes() == {"passed": 3}
    assert len(list((fake.pytester.path / "allure").glob("*-result.json"))) == 3


def test_fixtures_teach(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest("--fixtures").stdout.str()
    for fixture in (
        "clusters",
        "cluster_pair",
        "gateway_node",
        "non_gateway_node",
        "node_exec",
        "node_state",
        "reach",
        "assert_path",
        "submariner_lab",
        "submariner_settings",
        "submariner_subctl_report",
        "submariner_topology",
    ):
        assert f"\n{fixture}" in text
        documentation = text.partition(f"\n{fixture}")[2].partition("\n\n")[0]
        assert len(documentation) > 100, fixture
        assert "no docstring available" not in documentation


@pytest.mark.parametrize(
    ("arguments", "shown"), [((), True), (("-q",), False), (("-k", "plain"), False)], ids=["", "q", "k"]
)
def test_the_settings_are_shown_when_somebody_asks_for_us(fake: Fake, arguments: tuple[str, ...], shown: bool) -> None:
    fake.paths()
    fake.pytester.makepyfile(test_plain="def test_plain(): pass")
    text = fake.pytester.runpytest(*arguments).stdout.str()
    assert ("submariner: provider=lab (default)" in text) is shown


def test_tests_that_do_not_ask_for_us_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        from pytest_submariner.errors import RequirementUnmet, TopologyError

        def test_raises():
            raise TopologyError("ours, in a test that is not")

        def test_lacks():
            raise RequirementUnmet("ours, in a test that is not")
    """)
    assert pytester.runpytest().parseoutcomes() == {"failed": 2}
