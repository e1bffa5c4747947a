"""The lock of a checkout: one run of the stack at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.folders import make_private


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the stack's `folder` while the block runs; the lock of a killed holder is free.

    Raises:
        LocalServerError: If another process holds it.
    """
    make_private(folder)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise LocalServerError(
                f"taskyard already runs in this checkout, as process {holder}.\n"
                f"Stop it with Ctrl-C there, or with: kill {holder}"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
