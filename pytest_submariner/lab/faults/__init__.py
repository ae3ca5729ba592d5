"""Faults of Submariner data planes that a lab can have: what they are, how they are made and undone, what they break.

Nothing outside `lab/` imports this package: whoever looks for a fault must find it in the network."""

from pytest_submariner.lab.faults.fault import Fault, Injection, Layer, LookAlike, Role
from pytest_submariner.lab.faults.healthy import LOOK_ALIKES
from pytest_submariner.lab.faults.injector import Injector
from pytest_submariner.lab.faults.table import FAULTS, find, lookup

__all__ = ["FAULTS", "LOOK_ALIKES", "Fault", "Injection", "Injector", "Layer", "LookAlike", "Role", "find", "lookup"]
