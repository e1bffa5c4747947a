"""One stack a folder: the lock that a second run of the same checkout meets."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskyard.devstack.errors import DevStackError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the stack's `folder` while the block runs; the lock of a killed holder is free.

    Raises:
        DevStackError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise DevStackError(
                f"taskyard already runs in this checkout, as process {holder}.\n"
                f"Stop it with Ctrl-C there, or with: kill {holder}"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
