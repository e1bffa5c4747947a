"""Processes that a killed run left behind, found by the mark in their environment."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from taskyard.local_servers.process_table import environments
from taskyard.local_servers.waiting import wait_for

# Set for every process of a stack and inherited by its children, however they detach themselves.
MARK = "TASKYARD_DEVSTACK"
GRACE_S = 20.0


def find_leftovers(folder: Path) -> list[int]:
    """Return the ids of the processes that belong to the stack in `folder`; none without /proc."""
    mark = f"{MARK}={folder.resolve()}".encode()
    return [pid for pid, environment in environments() if mark in environment.split(b"\0")]


def end_leftovers(folder: Path) -> int:
    """End what runs on from the stack in `folder`, by force if need be; return how many."""
    pids = find_leftovers(folder)
    if pids:
        _signal_all(pids, signal.SIGTERM)
        if not wait_for(lambda: not find_leftovers(folder), timeout_s=GRACE_S):
            _signal_all(find_leftovers(folder), signal.SIGKILL)
            wait_for(lambda: not find_leftovers(folder), timeout_s=GRACE_S)
    return len(pids)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
