"""The stack's folder: nobody else's to read, and of one run at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskyard.local_servers.errors import DevStackError


def make_private(folder: Path) -> None:
    """Have a folder that only its owner may look into: all arguments and results of jobs are there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the stack's `folder` while the block runs; the lock of a killed holder is free.

    Raises:
        DevStackError: If another process holds it.
    """
    make_private(folder)
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
