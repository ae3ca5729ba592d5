"""Fixtures: what they give, and how they say that there is nothing to give."""

from __future__ import annotations

from typing import Any

from fake_run import Fake


def passes(fake: Fake, body: str, *arguments: str) -> None:
    fake.pytester.makepyfile(body)
    result = fake.pytester.runpytest("-rA", *arguments)
    outcomes: dict[str, Any] = result.parseoutcomes()
    assert set(outcomes) == {"passed"}, result.stdout.str()


def test_clusters_in_the_order_of_positions_and_read_only(fake: Fake) -> None:
    passes(
        fake,
        """
        import pytest

        def test_it(clusters, submariner_topology):
            assert list(clusters) == ["c1", "c2"]
            assert clusters["c2"] is submariner_topology.cluster("c2")
            with pytest.raises(TypeError):
                clusters["c3"] = None
        """,
    )


def test_cluster_pair_runs_for_both_directions(fake: Fake) -> None:
    fake.pytester.makepyfile("""
        def test_it(cluster_pair):
            source, target = cluster_pair
            assert {source.position, target.position} == {"c1", "c2"}
    """)
    result = fake.pytester.runpytest("-v")
    result.stdout.fnmatch_lines(["*::test_it[[]c1-c2] PASSED*", "*::test_it[[]c2-c1] PASSED*"])


def test_cluster_pair_covers_every_cluster_that_was_named(fake: Fake) -> None:
    fake.write("config", "contexts: [{name: a}, {name: b}, {name: c}]\n")
    fake.pytester.makepyfile("def test_it(cluster_pair): pass")
    contexts = [f"--submariner-context={name}" for name in "abc"]
    result = fake.pytester.runpytest("--collect-only", "-q", "--submariner-kubeconfig=config", *contexts)
    assert [line.partition("[")[2] for line in result.outlines if "::" in line] == [
        f"{one}-{other}]" for one in ("c1", "c2", "c3") for other in ("c1", "c2", "c3") if one != other
    ]


def test_nodes_by_role(fake: Fake) -> None:
    passes(
        fake,
        """
        def test_it(gateway_node, non_gateway_node, clusters):
            assert gateway_node().name == "c1-gw"
            assert gateway_node("c2").name == "c2-gw"
            assert non_gateway_node(clusters["c2"]).name == "c2-w1"
        """,
    )


def test_a_node_that_is_not_there_skips_with_what_is(fake: Fake) -> None:
    fake.pytester.makepyfile("def test_it(non_gateway_node): non_gateway_node('c1', ordinal=2)")
    result = fake.pytester.runpytest("-rs")
    result.stdout.fnmatch_lines(
        ["SKIPPED [[]1] test_*.py:1: needs 2 non-gateway nodes in c1; it has c1-gw (gateway), c1-w1 (non-gateway)"]
    )


def test_a_cluster_that_is_not_there_is_an_error_that_says_how_to_name_one(fake: Fake) -> None:
    fake.pytester.makepyfile("def test_it(gateway_node): gateway_node('c3')")
    result = fake.pytester.runpytest("-rE")
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(
        ["E *needs cluster c3; this run has c1 (context c1), c2 (context c2): *--submariner-context"]
    )


TRANSPORT = """

class Loopback:
    name = "loopback"
    about = "no node at all"

    def run(self, argv, *, timeout=30, stdin=None):
        from pytest_submariner import CommandResult
        return CommandResult("", tuple(argv), 0, b"[1, 2]", b"", 0.0, self.name)

    def close(self):
        log("transport closed")


def pytest_submariner_transport(config, node):
    log(f"transport {node.name}")
    return Loopback()
"""


def test_node_exec_opens_one_transport_per_node_and_closes_it(fake: Fake) -> None:
    conftest = fake.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + TRANSPORT)
    passes(
        fake,
        """
        def test_it(node_exec, gateway_node):
            node = gateway_node()
            assert node_exec(node).json(["ip", "-j", "route"]) == [1, 2]
            assert node_exec(node).run(["true"]).node == "c1-gw"
        """,
    )
    assert fake.logged("transport") == ["c1-gw", "closed"]


def test_a_lab_is_not_there_when_clusters_come_from_elsewhere(fake: Fake) -> None:
    fake.pytester.makepyfile("def test_it(submariner_lab): pass")
    result = fake.pytester.runpytest("-rs", *fake.contexts())
    result.stdout.fnmatch_lines(["SKIPPED * needs provider lab; this run has kubeconfig"])


def test_a_report_of_subctl_that_was_not_given_is_a_skip_and_asks_no_cluster(fake: Fake) -> None:
    fake.pytester.makepyfile("def test_it(submariner_subctl_report): pass")
    result = fake.pytester.runpytest("-rs")
    result.stdout.fnmatch_lines(
        ["SKIPPED * needs stock subctl: run one with --submariner-subctl BIN*--submariner-subctl-junit FILE"]
    )
    assert fake.log == []


def test_plugins_edit_the_cases_of_a_suite(fake: Fake) -> None:
    conftest = fake.pytester.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """
def pytest_submariner_path_cases(config, suite, cases):
    cases[:] = [case for case in cases if case.protocol == "udp" and case.source.kind == "pod"][:2]


def pytest_generate_tests(metafunc):
    from pytest_submariner.items import suite_cases
    metafunc.parametrize("path", [case.id for case in suite_cases(metafunc.config, "cross_cluster")])
"""
    )
    fake.pytester.makepyfile("def test_it(path, assert_path): assert_path(path)")
    fake.pytester.runpytest()
    assert [line.split()[0].endswith("--udp") for line in fake.logged("finished")] == [True, True]
