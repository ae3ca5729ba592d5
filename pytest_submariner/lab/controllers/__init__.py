"""What a control plane does beside its API server: scheduling, endpoints, workloads, garbage, and kube-proxy on the nodes."""

from pytest_submariner.lab.controllers.manager import Controllers

__all__ = ["Controllers"]
