"""The faults by name: each function under `@fault` is one; its docstring says what it is in real life."""

from tests.nemesis.faults import mixed, network, orphans, processes, queues, servers
from tests.nemesis.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "mixed", "network", "orphans", "processes", "queues", "servers"]
