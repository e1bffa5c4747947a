"""Processes that a killed run left behind, found by the mark in their environment, as /proc shows it.

Without /proc there seem to be none.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from taskyard.local_servers.waiting import wait_for

# Set for every process of a stack and inherited by its children, however they detach themselves.
MARK = "TASKYARD_LOCAL_SERVERS"
GRACE_S = 20.0

DEAD_STATES = (b"Z", b"X")  # ended, and listed only until the parent has asked


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


def environments() -> Iterator[tuple[int, bytes]]:
    """Yield the id and the first environment of each process that this user may look into."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        pid = int(path.parent.name)
        if pid == os.getpid():
            continue
        with suppress(OSError):  # ended meanwhile, or another user's
            yield pid, path.read_bytes()


def has_living_members(group: int) -> bool:
    """Return whether a process of the process group still runs."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name before the last ")" may hold anything; then: state, parent, group.
            state, _, member_of, *_ = path.read_bytes().rpartition(b")")[2].split()
            if int(member_of) == group and state not in DEAD_STATES:
                return True
    return False


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
