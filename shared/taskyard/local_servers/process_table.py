"""What /proc tells about the processes of this machine; without /proc there seem to be none."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

DEAD_STATES = (b"Z", b"X")  # ended, and listed only until the parent has asked


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
