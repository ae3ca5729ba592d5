"""`submariner-diagnose`: why paths between clusters fail, without pytest; or what a sysdump tells, without clusters."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_submariner.errors import SubmarinerError
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.topology import Node, Topology
from pytest_submariner.options import DEFAULT_IMAGE

if TYPE_CHECKING:
    from pytest_submariner.diagnose.diagnosis import Diagnosed
    from pytest_submariner.kube.client import KubeClient
    from pytest_submariner.transport.node import NodeExec

EXIT_HEALTHY, EXIT_FOUND, EXIT_USAGE, EXIT_FAILED = 0, 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Errors are one line on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        diagnosed = _read(arguments.sysdump) if arguments.sysdump else _look(arguments)
        if arguments.save_sysdump:
            from pytest_submariner.diagnose.sysdump.archive import write

            write(arguments.save_sysdump, diagnosed)
    except SubmarinerError as error:
        print(f"submariner-diagnose: {error}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"submariner-diagnose: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    if arguments.json:
        _print_json(diagnosed)
    else:
        from pytest_submariner.report.findings import lines

        seen = diagnosed.observation
        failing = [flow.id for flow in seen.failing]
        asked = len(seen.flows)
        notes = (*seen.unread, *diagnosed.notes)
        text = lines(diagnosed.findings, asked=asked, failing=failing, notes=notes, verbose=arguments.verbose)
        print("\n".join(text))
    return EXIT_FOUND if diagnosed.findings or diagnosed.observation.failing else EXIT_HEALTHY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="submariner-diagnose",
        description="Ask the paths inside and between clusters, look at nodes and objects, and name the cause of what fails. "
        "Read-only but for probe pods in a namespace of its own, which is removed.",
        epilog="Exit status: 0 every path works and nothing was found, 1 something was found, 2 wrong command line, 3 could not look.",
    )
    parser.add_argument(
        "--context", action="append", default=[], metavar="CTX", help="Context of a cluster; the order gives c1, c2, …"
    )
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="Kubeconfig with the contexts (default: what KUBECONFIG says, else ~/.kube/config)",
    )
    parser.add_argument(
        "--exec", default="auto", choices=("auto", "pod", "ssh", "docker"), help="How nodes are reached"
    )
    parser.add_argument("--ssh-config", metavar="FILE", help="An ssh_config whose Host names are node names")
    parser.add_argument(
        "--image", default=DEFAULT_IMAGE, metavar="REF", help="Image of probe pods (default: %(default)s)"
    )
    parser.add_argument(
        "--paths", action="append", default=[], metavar="PATTERN",
        help="Ask paths whose id matches, such as 'pod.*--pod.*--tcp' (default: all but bulk data)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=_seconds, default=3.0, metavar="S", help="Seconds of one attempt (default: %(default)s)"
    )
    parser.add_argument(
        "--sysdump", type=Path, metavar="FILE", help="Diagnose what a sysdump holds, and touch no cluster"
    )
    parser.add_argument(
        "--save-sysdump", type=Path, metavar="FILE", help="Keep what was seen in this archive (.tar.gz)"
    )
    parser.add_argument("--json", action="store_true", help="Print findings and paths as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="Print all evidence")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0 and up to 3600")
    return seconds


def _look(arguments: argparse.Namespace) -> Diagnosed:
    from pytest_submariner.diagnose.diagnosis import Diagnosis
    from pytest_submariner.kube.client import KubeClient
    from pytest_submariner.probes.prober import PlainSettings, Prober
    from pytest_submariner.providers.contexts import Place
    from pytest_submariner.providers.kubeconfig import find_topology

    contexts = arguments.context or [None]
    places = [Place(f"c{i}", arguments.kubeconfig, context) for i, context in enumerate(contexts, start=1)]
    topology = find_topology(places, "kubeconfig")
    cases = _cases(topology, arguments.paths)
    with ExitStack() as closing:
        clients: dict[str, KubeClient] = {}
        for cluster in topology.clusters:
            clients[cluster.position] = KubeClient(cluster.kubeconfig, cluster.context)
            closing.callback(clients[cluster.position].close)
        nodes = _Nodes(arguments, clients, closing)
        settings = PlainSettings(arguments.image, arguments.timeout)
        run_id = uuid.uuid4().hex[:8]
        prober = Prober(topology, clients.__getitem__, settings, node_exec=nodes, run_id=run_id)
        closing.callback(prober.close)
        print(f"asking {len(cases)} paths of {', '.join(c.context for c in topology.clusters)} …", file=sys.stderr)
        results = prober.measure(cases)
        return Diagnosis(topology, clients.__getitem__, nodes, prober.again).explain(results.values())


def _cases(topology: Topology, patterns: Sequence[str]) -> list[PathCase]:
    """The role matrix; SubmarinerError when nothing matches."""
    from pytest_submariner.paths.cases import cases
    from pytest_submariner.paths.sizes import BULK

    positions = [cluster.position for cluster in topology.clusters]
    every = [case for suite in ("intra_cluster", "cross_cluster") for case in cases(suite, positions)]
    if not patterns:
        return [case for case in every if BULK not in case.tags]
    chosen = [case for case in every if any(fnmatchcase(case.id, pattern) for pattern in patterns)]
    if not chosen:
        raise SubmarinerError(
            f"--paths {' '.join(patterns)} matches none of {len(every)} paths; they look like {every[0].id}"
        )
    return chosen


class _Nodes:
    """Commands on nodes, opened when first asked for."""

    def __init__(self, arguments: argparse.Namespace, clients: Mapping[str, KubeClient], closing: ExitStack) -> None:
        self._arguments, self._clients, self._closing = arguments, clients, closing
        self._open: dict[Node, NodeExec] = {}

    def __call__(self, node: Node) -> NodeExec:
        from pytest_submariner.transport.node import NodeExec
        from pytest_submariner.transport.registry import open_transport

        if node not in self._open:
            given = self._arguments
            transport = open_transport(
                given.exec, node, kube=self._clients[node.cluster], ssh_config=given.ssh_config, image=given.image
            )
            self._closing.callback(transport.close)
            self._open[node] = NodeExec(node, transport)
        return self._open[node]


def _read(file: Path) -> Diagnosed:
    from pytest_submariner.diagnose.sysdump.archive import read

    return read(file)


def _print_json(diagnosed: Diagnosed) -> None:
    document = {
        "findings": [finding.to_dict() for finding in diagnosed.findings],
        "paths": [
            {"id": flow.id, "verdict": flow.verdict.word, "detail": flow.result.detail}
            for flow in diagnosed.observation.flows
        ],
        "notes": [*diagnosed.observation.unread, *diagnosed.notes],
        "duration_s": round(diagnosed.duration_s, 3),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    sys.exit(main())
