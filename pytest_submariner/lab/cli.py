"""`submariner-lab`: boots, shows, enters and removes labs."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from pytest_submariner.errors import LabError, LabUnavailable
from pytest_submariner.lab import spec as specs
from pytest_submariner.lab.control import ask
from pytest_submariner.lab.state import LabState

EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE = 1, 2, 3
"""Exit statuses: the lab refused, the command line was wrong, this machine cannot run a lab."""
LOG_PARTS = ("gateway", "route-agent", "kubelet")


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Errors are one line on stderr."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except LabUnavailable as error:
        print(f"submariner-lab: this machine cannot run the lab: {error}", file=sys.stderr)
        return EXIT_UNAVAILABLE
    except LabError as error:
        print(f"submariner-lab: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="submariner-lab",
        description="Joined Kubernetes clusters with Submariner, in network namespaces of this machine. No root needed.",
        epilog="Exit status: 0 done, 1 refused, 2 wrong command line, 3 this machine cannot run a lab; exec passes its command's on.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="Boot a lab; returns when every supported path is programmed")
    up.add_argument("--name", default="submariner", help="Name of the lab (default: %(default)s)")
    up.add_argument("--clusters", type=int, default=2, help="How many clusters (default: %(default)s)")
    up.add_argument("--gateways", type=int, default=1, help="Gateway nodes per cluster (default: %(default)s)")
    up.add_argument("--workers", type=int, default=1, help="Non-gateway nodes per cluster (default: %(default)s)")
    for what, example in (("pod", "10.8.0.0/16"), ("service", "100.8.0.0/16")):
        up.add_argument(
            f"--{what}-cidr",
            action="append",
            default=[],
            metavar="CIDR",
            help=f"{what.capitalize()} CIDR; repeat it for the second cluster and so on (default: {example}, then the next)",
        )
    up.add_argument("--cable", default="vxlan", help=f"Cable driver: {', '.join(specs.CABLES)} (default: %(default)s)")
    up.add_argument(
        "--profile", default="default", help=f"Kind of underlay: {', '.join(specs.PROFILES)} (default: %(default)s)"
    )
    up.add_argument(
        "--control-plane",
        default="embedded",
        help=f"API server: {', '.join(specs.CONTROL_PLANES)} (default: %(default)s)",
    )
    up.add_argument(
        "--submariner", default="modelled", help=f"Submariner: {', '.join(specs.SUBMARINERS)} (default: %(default)s)"
    )
    up.add_argument(
        "--agents-dir", metavar="DIR", help="With agents: folder of submariner-gateway and submariner-route-agent"
    )
    up.add_argument(
        "--api-port",
        type=int,
        help="Port of the first cluster's API on 127.0.0.1; the next clusters take the next ones (default: any free)",
    )
    up.add_argument("--owner-pid", type=int, metavar="PID", help="End the lab when this process ends")
    up.add_argument("--json", action="store_true", help="Print the description as JSON")
    up.set_defaults(command=_up)

    down = commands.add_parser("down", help="Remove a lab")
    which = down.add_mutually_exclusive_group()
    which.add_argument("--name", help="Name of the lab (default: the only running one)")
    which.add_argument("--all", action="store_true", help="Every lab of this user, and what dead ones left")
    down.set_defaults(command=_down)

    kubeconfig = commands.add_parser("kubeconfig", help="Print the path of a lab's kubeconfig")
    _name(kubeconfig)
    kubeconfig.set_defaults(command=_kubeconfig)

    status = commands.add_parser("status", help="Show running labs")
    _name(status)
    status.add_argument("--json", action="store_true", help="Print a list as JSON")
    status.set_defaults(command=_status)

    run = commands.add_parser(
        "exec", help="Run a command in a node's or pod's namespaces; its exit status is passed on"
    )
    _name(run)
    run.add_argument("target", metavar="TARGET", help="A node's name, or CLUSTER/NAMESPACE/POD")
    run.add_argument("argv", metavar="ARGV", nargs="+", help="The command, after --")
    run.set_defaults(command=_exec)

    logs = commands.add_parser("logs", help="Print a part's log")
    _name(logs)
    logs.add_argument("node", metavar="NODE", help="A node's name")
    logs.add_argument("part", nargs="?", default="route-agent", choices=LOG_PARTS, help="Default: %(default)s")
    logs.set_defaults(command=_logs)

    diagnose = commands.add_parser(
        "diagnose", help="Name the cause of what fails, as submariner-diagnose does on any cluster"
    )
    _name(diagnose)
    diagnose.add_argument("options", nargs="*", metavar="OPTION", help="Options of submariner-diagnose, after --")
    diagnose.set_defaults(command=_diagnose)

    _add_fault_commands(commands)
    return parser


def _add_fault_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    faults = commands.add_parser("faults", help="List the faults a lab can have")
    faults.add_argument("--healthy", action="store_true", help="List healthy states that look like faults instead")
    faults.add_argument("--json", action="store_true", help="Print a list as JSON")
    faults.set_defaults(command=_faults)

    inject = commands.add_parser("inject", help="Break something; `heal` puts it right again")
    _name(inject)
    inject.add_argument("fault", metavar="ID", help="A fault (or healthy look-alike), as `faults` lists it")
    inject.add_argument("--otherwise", action="store_true", help="Make the same fault by other means")
    inject.add_argument("--cluster", help="Cluster to break (default: the first)")
    inject.add_argument("--node", help="Node to break (default: the first of the fault's role)")
    inject.add_argument("--json", action="store_true", help="Print what was injected as JSON")
    inject.set_defaults(command=_inject)

    heal = commands.add_parser("heal", help="Undo faults")
    _name(heal)
    which = heal.add_mutually_exclusive_group()
    which.add_argument("fault", metavar="ID", nargs="?", help="An injected fault (default: all)")
    which.add_argument("--all", action="store_true", help="All injected faults")
    heal.set_defaults(command=_heal)


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="Name of the lab (default: the only running one)")


def _up(arguments: argparse.Namespace) -> int:
    from pytest_submariner.lab.holder import launch

    spec = specs.LabSpec.make(
        arguments.name,
        clusters=arguments.clusters,
        gateways=arguments.gateways,
        workers=arguments.workers,
        cable=arguments.cable,
        profile=arguments.profile,
        control_plane=arguments.control_plane,
        submariner=arguments.submariner,
        agents_dir=arguments.agents_dir,
        pod_cidrs=arguments.pod_cidr,
        service_cidrs=arguments.service_cidr,
    )
    description = launch(spec, owner=arguments.owner_pid, api_port=arguments.api_port)
    if arguments.json:
        _print_json(
            {key: description[key] for key in ("name", "kubeconfig", "ssh_config", "contexts", "nodes", "timings")}
        )
    else:
        nodes = ", ".join(n["name"] for n in description["nodes"])
        print(f"lab {description['name']} is up after {description['timings']['boot_s']} s: {nodes}")
        print(f"  export KUBECONFIG={description['kubeconfig']}")
        print(f"  ssh -F {description['ssh_config']} {description['nodes'][0]['name']}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    if arguments.all:
        for state in LabState.all():
            state.end()
            print(f"lab {state.name} is gone")
        return 0
    state = LabState.find(arguments.name)
    state.end()
    print(f"lab {state.name} is gone")
    return 0


def _kubeconfig(arguments: argparse.Namespace) -> int:
    print(LabState.find(arguments.name).kubeconfig)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    states = [LabState.find(arguments.name)] if arguments.name else [s for s in LabState.running() if s.is_ready()]
    labs = [_describe(state) for state in states]
    if arguments.json:
        _print_json(labs)
    elif not labs:
        print("no lab is running")
    else:
        from pytest_submariner.lab.drawing import draw

        is_plain = "utf" not in (sys.stdout.encoding or "").lower()
        print("\n\n".join(draw(lab, plain=is_plain) for lab in labs))
    return 0


def _describe(state: LabState) -> dict[str, Any]:
    description = state.describe()
    started = description.pop("started")
    return description | {
        "age_s": round(time.time() - started, 1),
        "faults": ask(state.control, {"op": "status"})["faults"],
    }


def _exec(arguments: argparse.Namespace) -> int:
    state = LabState.find(arguments.name)
    answer = ask(state.control, {"op": "exec", "target": arguments.target, "argv": arguments.argv}, [0, 1, 2])
    return int(answer["exit"])


def _logs(arguments: argparse.Namespace) -> int:
    state = LabState.find(arguments.name)
    answer = ask(state.control, {"op": "logs", "node": arguments.node, "part": arguments.part}, [1])
    return int(answer["exit"])


def _diagnose(arguments: argparse.Namespace) -> int:
    """In a process of its own, with no more than anybody has: the kubeconfig and the ssh_config."""
    lab = LabState.find(arguments.name).describe()
    contexts = [word for context in lab["contexts"] for word in ("--context", context)]
    given = [f"--kubeconfig={lab['kubeconfig']}", f"--ssh-config={lab['ssh_config']}", *contexts]
    command = [sys.executable, "-m", "pytest_submariner.diagnose_cli", *given, *arguments.options]
    return subprocess.run(command, check=False).returncode


def _faults(arguments: argparse.Namespace) -> int:
    from pytest_submariner.lab.faults import FAULTS, LOOK_ALIKES

    listed = LOOK_ALIKES if arguments.healthy else FAULTS
    if arguments.json:
        _print_json([fault.describe() for fault in listed])
        return 0
    for fault in listed:
        print(f"{fault.id:<36} {fault.role:<12} {fault.title}")
    return 0


def _inject(arguments: argparse.Namespace) -> int:
    state = LabState.find(arguments.name)
    request = {"op": "inject", "id": arguments.fault, "cluster": arguments.cluster, "node": arguments.node}
    injected = ask(state.control, request | {"otherwise": arguments.otherwise})
    if arguments.json:
        _print_json(injected)
    else:
        print(f"{injected['id']} is on {injected['node']} now")
    return 0


def _heal(arguments: argparse.Namespace) -> int:
    state = LabState.find(arguments.name)
    healed = ask(state.control, {"op": "heal", "id": arguments.fault})["healed"]
    print("\n".join(f"{fault} is healed" for fault in healed) or "no fault is active")
    return 0


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2))


if __name__ == "__main__":
    sys.exit(main())
