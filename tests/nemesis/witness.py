"""What was seen from outside: which processes died, stood still or were cut off, what was thrown away.

A process that may have lost its leases is all that explains a second run.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.nemesis.executions import Execution

WATCH_EVERY_S = 0.1
#: So long a process may be late with its heartbeat, on a machine that has too much to do.
STALL_S = 5.0

DEAD = ("Z", "X")


@dataclass(frozen=True)
class Death:
    """A process that ended; times in seconds since 1970."""

    last_seen_at: float
    seen_dead_at: float


@dataclass
class Still:
    """A time in which a process could not renew its leases: it was frozen, or cut off from the store."""

    pid: int
    began_at: float
    ended_at: float = math.inf


@dataclass
class Witness:
    """What was seen of processes from outside.

    Args:
        lease_s: How long a claim holds without a heartbeat.
    """

    lease_s: float
    deaths: dict[int, Death] = field(default_factory=dict)
    stills: list[Still] = field(default_factory=list)
    #: When somebody threw away all messages of the queue that a door's lead to, for each door.
    purges: dict[str, list[float]] = field(default_factory=dict)
    #: When somebody threw away dead letters.
    dead_purges: list[float] = field(default_factory=list)
    #: From when until when what the store was told is gone, as after a failover.
    forgotten: list[tuple[float, float]] = field(default_factory=list)

    @contextmanager
    def standing_still(self, pids: Iterable[int]) -> Iterator[None]:
        """Note that these processes cannot renew their leases while the block runs."""
        noted = [Still(pid, time.time()) for pid in pids]
        self.stills += noted
        try:
            yield
        finally:
            for each in noted:
                each.ended_at = time.time()

    def bury(self, executions: Iterable[Execution]) -> None:
        """Note the death of processes that ran something and are gone, and that the watch has never seen."""
        heard_of: dict[int, float] = {}
        for each in executions:
            last_at = each.ended_at or each.began_at
            heard_of[each.pid] = max(last_at, heard_of.get(each.pid, last_at))
        for pid, last_at in heard_of.items():
            if pid not in self.deaths and not is_alive(pid):
                self.deaths[pid] = Death(last_at, time.time())

    def may_be_purged(self, door: str, asked_at: float) -> bool:
        """Return whether a job of this door may have been thrown away before anything had a record of it."""
        return any(at > asked_at for at in self.purges.get(door, []))

    def is_forgotten(self, moments: Iterable[float]) -> bool:
        """Return whether the store may have forgotten what it was told at one of these moments."""
        return any(begin <= at <= end for at in moments for begin, end in self.forgotten)

    def lease_lost_at(self, pid: int, began_at: float, ended_at: float) -> float | None:
        """Return when a process that runs something in this time may have lost its leases, or None.

        A process that died is no answer: what it ran has stopped with it.
        """
        shortest_s = self.lease_s - STALL_S
        lost = [
            still.began_at + shortest_s
            for still in self.stills
            if still.pid == pid
            and still.began_at < ended_at
            and still.ended_at > began_at
            and min(still.ended_at, ended_at) - still.began_at >= shortest_s
        ]
        return min(lost, default=None)

    def explains_loss(self, pid: int, began_at: float, lost_at: float) -> bool:
        """Return whether an attempt that began then in this process may have been lost by that time."""
        death = self.deaths.get(pid)
        if death is not None and death.last_seen_at <= lost_at + STALL_S:
            return True
        return self.lease_lost_at(pid, began_at, lost_at) is not None


class Watch:
    """Looks at the children of the workers, again and again, in a thread of its own.

    Args:
        witness: Who is told of deaths.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._parents: dict[str, int] = {}
        self._alive: dict[int, float] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        #: The children that each worker has had.
        self.pids: dict[str, set[int]] = defaultdict(set)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Return once nobody looks any more."""
        self._is_over.set()
        self._thread.join()

    def follow(self, name: str, pid: int) -> None:
        """Look from now on at the children of this process, as those of the worker `name`."""
        self._parents[name] = pid
        self.look()

    def look(self) -> None:
        """Look once."""
        now = time.time()
        for name, parent in list(self._parents.items()):
            for pid in children(parent):
                self.pids[name].add(pid)
                self._alive.setdefault(pid, now)
        for pid, last_seen_at in list(self._alive.items()):
            if is_alive(pid):
                self._alive[pid] = now
            else:
                self._witness.deaths[pid] = Death(last_seen_at, now)
                self._alive.pop(pid, None)

    def _run(self) -> None:
        while not self._is_over.wait(WATCH_EVERY_S):
            self.look()


def children(pid: int) -> list[int]:
    """Return the ids of a process's children, dead ones that nobody has asked for included."""
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def is_alive(pid: int) -> bool:
    """Return whether the process has not ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in DEAD
    return False
