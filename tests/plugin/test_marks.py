"""Marks: documented by pytest itself, checked at collection, obeyed at run time."""

from __future__ import annotations

import pytest
from fake_run import Fake


def test_marks_are_documented(pytester: pytest.Pytester) -> None:
    pytester.runpytest("--markers").stdout.fnmatch_lines(
        [
            "@pytest.mark.submariner_subctl(spec): counterpart of *",
            "@pytest.mark.submariner_disruptive: breaks something and repairs it: *",
            "@pytest.mark.submariner_requires(*, clusters=None, *): skip unless *",
            "@pytest.mark.submariner_known_issue(url, reason=''): *",
        ]
    )


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("submariner_requires", "asks for nothing; give at least one of clusters, gateways, *"),
        ("submariner_requires(gateway=2)", "got an unexpected keyword argument 'gateway'"),
        ("submariner_requires(gateways='two')", "gateways='two' is not a number from 1"),
        ("submariner_requires(gateways=True)", "gateways=True is not a number from 1"),
        ("submariner_requires(globalnet='no')", "globalnet='no' is neither True nor False"),
        ("submariner_requires(cable_driver=5)", "cable_driver=5 is not a word"),
        ("submariner_known_issue", "missing 1 required positional argument: 'url'"),
        ("submariner_known_issue('#3134')", "'#3134' is not the URL of an issue"),
        ("submariner_subctl()", "missing 1 required positional argument: 'spec'"),
        ("submariner_subctl('')", "'' is not the title of a spec"),
        ("submariner_disruptive('gateway')", "takes 0 positional arguments but 1 was given"),
    ],
)
def test_wrong_arguments_stop_the_run_at_collection(pytester: pytest.Pytester, mark: str, said: str) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.{mark}\ndef test_it(): pass")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    name = mark.partition("(")[0]
    result.stderr.fnmatch_lines([f"ERROR: *::test_it: {name}*: {said}".replace("[", "[[]")])


def test_all_wrong_marks_are_named_at_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.submariner_subctl()
        def test_one(): pass

        @pytest.mark.submariner_requires
        def test_two(): pass
    """)
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *::test_one: *", "*::test_two: *"])


REQUIRES = """
    import pytest

    @pytest.mark.submariner_requires({condition})
    def test_it():
        pass
"""


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("clusters=3", "needs clusters >= 3; this run has 2"),
        ("gateways=2", "needs gateways >= 2; c1 has 1"),
        ("non_gateways=2", "needs non_gateways >= 2; c1 has 1"),
        ("globalnet=True", "needs globalnet True; c1 has False"),
        ("cable_driver='libreswan'", "needs cable_driver libreswan; c1 has vxlan"),
        ("network_plugin='calico'", "needs network_plugin calico; c1 has an unknown one"),
        ("provider='kind'", "needs provider kind; this run has lab"),
    ],
)
def test_an_unmet_requirement_skips_with_what_was_found(fake: Fake, condition: str, reason: str) -> None:
    fake.pytester.makepyfile(REQUIRES.format(condition=condition))
    result = fake.pytester.runpytest("-rs")
    assert result.parseoutcomes() == {"skipped": 1}
    result.stdout.fnmatch_lines([f"SKIPPED * {reason}"])


@pytest.mark.parametrize(
    "condition", ["clusters=2", "gateways=1, non_gateways=1", "globalnet=False", "cable_driver='vxlan'"]
)
def test_a_met_requirement_runs(fake: Fake, condition: str) -> None:
    fake.pytester.makepyfile(REQUIRES.format(condition=condition))
    assert fake.pytester.runpytest().parseoutcomes() == {"passed": 1}


def test_a_required_provider_is_known_without_asking_a_cluster(fake: Fake) -> None:
    fake.pytester.makepyfile(REQUIRES.format(condition="provider='kind'"))
    fake.pytester.runpytest()
    assert fake.log == []


DISRUPTIVE = """
    import pytest

    PATH = "pod.gw.c1--pod.gw.c2--tcp"

    @pytest.mark.submariner_disruptive
    def test_breaks(reach):
        reach(PATH)
        reach(PATH)

    @pytest.mark.parametrize("path", [PATH])
    def test_path(assert_path, path):
        assert_path(path)
"""


def test_disruptive_items_run_last_and_always_ask_afresh(fake: Fake) -> None:
    fake.pytester.makepyfile(DISRUPTIVE)
    result = fake.pytester.runpytest("-v")
    assert result.parseoutcomes() == {"passed": 2}
    result.stdout.fnmatch_lines(["*::test_path*", "*::test_breaks*"])
    assert len(fake.logged("measure")) == 3
    assert len(fake.logged("finished")) == 1


def test_disruptive_items_need_leave_where_the_clusters_outlive_the_run(fake: Fake) -> None:
    fake.pytester.makepyfile(DISRUPTIVE)
    result = fake.pytester.runpytest("-rs", *fake.contexts())
    assert result.parseoutcomes() == {"passed": 1, "skipped": 1}
    result.stdout.fnmatch_lines(["SKIPPED * disruptive: give --submariner-disruptive to run it *"])
    allowed = fake.pytester.runpytest(*fake.contexts(), "--submariner-disruptive")
    assert allowed.parseoutcomes() == {"passed": 2}


def test_marks_work_under_strict_configuration(pytester: pytest.Pytester) -> None:
    (pytester.path / "pyproject.toml").write_text("[tool.pytest]\nstrict = true\n")
    pytester.makepyfile("import pytest\n@pytest.mark.submariner_subctl('a title')\ndef test_it(): pass")
    assert pytester.runpytest().ret == 0
