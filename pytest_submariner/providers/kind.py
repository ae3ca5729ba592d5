"""kind: two clusters in containers, made with pytest-kind and joined with subctl. The only importer of `pytest_kind`.

pytest-kind has one cluster per session and would download old kind and kubectl; so its class is used, never its fixture,
with programs from PATH or not at all.
"""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_submariner.errors import LabUnavailable, TopologyError
from pytest_submariner.providers.base import Run, World
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.kubeconfig import find_topology
from pytest_submariner.settings import Settings

POSITIONS = ("c1", "c2")
PROGRAMS = ("kind", "kubectl", "subctl")
INSTALL_DEADLINE_S = 900.0
CONFIG = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking: {{podSubnet: 10.{octet}.0.0/16, serviceSubnet: 100.{octet}.0.0/16}}
nodes:
- role: control-plane
- role: worker
  labels: {{submariner.io/gateway: "true"}}
- role: worker
"""


class KindProvider:
    """Makes clusters named after the run, so that a kept one is never mistaken for another run's."""

    name = "kind"

    def __init__(self, settings: Settings, run: Run) -> None:
        self._settings = settings
        self._run = run
        self._folder = Path(".pytest-kind").absolute() / f"submariner-{run.id}"

    def find(self) -> World:
        self._require()
        made = {position: self._create(position) for position in POSITIONS}
        files = {position: str(Path(cluster.kubeconfig_path).absolute()) for position, cluster in made.items()}
        self._subctl("deploy-broker", "--kubeconfig", files["c1"])
        for position, file in files.items():
            joining = ("--clusterid", position, "--natt=false", "--cable-driver", "vxlan")
            self._subctl("join", "--kubeconfig", file, str(self._folder / "broker-info.subm"), *joining)
        return World(find_topology([Place(position, file, None) for position, file in files.items()], self.name))

    def release(self) -> None:
        if self._settings.keep or not self._folder.is_dir():
            return
        for position in POSITIONS:
            _run(["kind", "delete", "cluster", "--name", self._cluster_name(position)], self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _require(self) -> None:
        if find_spec("pytest_kind") is None:
            raise LabUnavailable("provider kind needs the package pytest-kind: pip install 'pytest-submariner[kind]'")
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            raise LabUnavailable(f"provider kind needs {', '.join(missing)} in PATH; nothing is downloaded")

    def _cluster_name(self, position: str) -> str:
        return f"submariner-{self._run.id}-{position}"

    def _create(self, position: str) -> Any:
        """A running cluster, whose kubeconfig names an address that the pods of the other cluster reach as well."""
        from pytest_kind import KindCluster

        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / f"{position}.yaml"
        config.write_text(CONFIG.format(octet=7 + int(position[1:])))
        name = self._cluster_name(position)
        cluster = KindCluster(
            name,
            self._folder / f"{position}.kubeconfig",
            kind_path=Path(shutil.which("kind") or "kind"),
            kubectl_path=Path(shutil.which("kubectl") or "kubectl"),
        )
        try:
            cluster.create(config)
            address = 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'
            ip = cluster.kubectl("get", "node", f"{name}-control-plane", "-o", address).split()[0]
            cluster.kubectl("config", "set-cluster", f"kind-{name}", f"--server=https://{ip}:6443")
        except (subprocess.CalledProcessError, OSError, IndexError) as error:
            # pytest-kind lets kind write to the terminal and raises without a word of it.
            raise TopologyError(f"kind could not make cluster {name}: {error}; its output is above") from None
        return cluster

    def _subctl(self, *argv: str) -> None:
        _run(["subctl", *argv], self._folder)


def _run(argv: list[str], folder: Path) -> None:
    """TopologyError carries the command's own last line."""
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INSTALL_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TopologyError(f"{' '.join(argv[:2])} did not end within {INSTALL_DEADLINE_S:g} s") from None
    if done.returncode != 0:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise TopologyError(f"{' '.join(argv[:2])} failed: {said[-1] if said else f'exit status {done.returncode}'}")
