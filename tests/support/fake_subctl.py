"""A stand-in for the subctl binary: a shell script that says its version, keeps its arguments, and does as it is told on `verify`."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parents[1] / "compare" / "data"
HEALTHY = DATA / "healthy.junit.xml"
TITLE = (
    "Basic TCP connectivity tests across clusters without discovery \\033[38;5;243mwhen a pod connects via TCP to a remote pod "
    "\\033[0mwhen the pod is not on a gateway and the remote pod is not on a gateway \\033[0m\\033[1mshould have sent the "
    "expected data from the pod to the other pod\\033[0m \\033[38;5;204m[dataplane, basic]\\033[0m"
)
PASSES = f"""
printf 'Will run \\033[1m12\\033[0m of \\033[1m48\\033[0m specs\\n'
printf '\\033[38;5;243m------------------------------\\033[0m\\n'
printf '\\033[0m{TITLE}\\n'
echo 'Nov 22 11:41:59.299: Generated namespace "e2e-tests-dataplane-conn-nd-z975v" in cluster "c1" to execute the tests in'
printf '\\033[38;5;10m• [1.075 seconds]\\033[0m\\n'
cp {HEALTHY} "$report"
"""
PANICS = """
echo 'Performing the following verifications: connectivity'
echo 'panic: runtime error: invalid memory address or nil pointer dereference' >&2
exit 2
"""
WAITS = f"""
printf '\\033[38;5;243m------------------------------\\033[0m\\n{TITLE}\\n'
echo 'Nov 22 11:41:59.299: Generated namespace "e2e-tests-dataplane-conn-nd-z975v" in cluster "c1" to execute the tests in'
trap 'echo cleaned > "$here/cleaned"; cp {HEALTHY} "$report"; exit 1' TERM
echo $$ > "$here/pid"
while :; do sleep 0.05; done
"""


def fake_subctl(folder: Path, verify: str = PASSES) -> Path:
    """Makes it; every call to verify adds a line to `calls.log` in its folder, with the kubeconfig it was given."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "subctl"
    program.write_text(
        f"""#!/bin/sh
here={folder}
if [ "$1" = version ]; then echo 'subctl version: v0.19.0'; exit 0; fi
echo "$KUBECONFIG $*" >> "$here/calls.log"
cp "$KUBECONFIG" "$here/kubeconfig"
report=
while [ $# -gt 0 ]; do [ "$1" = --junit-report ] && report=$2; shift; done
{verify}
"""
    )
    program.chmod(0o755)
    return program


def calls(program: Path) -> list[str]:
    log = program.with_name("calls.log")
    return log.read_text().splitlines() if log.exists() else []
