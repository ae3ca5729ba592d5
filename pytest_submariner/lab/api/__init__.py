"""A Kubernetes API server in the process: objects in memory, the genuine server's answers, no controllers.

`server.ApiServer` is the way in, `pods.PodSubresources` what a kubelet must offer it. Requests go `server` → `handler` → `paths` (what is
meant), `negotiation` (which shape) → `resources` (semantics) → `store` (versions and events).
"""

from pytest_submariner.lab.api.pods import PodSubresources
from pytest_submariner.lab.api.server import ApiServer

__all__ = ["ApiServer", "PodSubresources"]
