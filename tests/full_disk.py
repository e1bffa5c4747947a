"""A Redis whose disk can be full.

A limit on the size of its files refuses it every byte, as a full disk does, and needs no rights: a small file
system needs root to be mounted, and a folder without rights still lets a file that is open be written.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskyard.local_servers import RedisServer


class RedisWithDisk(RedisServer):
    """A private Redis with room, until `full_disk` is entered.

    Args:
        folder: Where its data is.
        options: Settings of Redis besides the usual ones.
    """

    def __init__(self, folder: Path, **options: str) -> None:
        super().__init__(folder, extra_options=options)
        # Else the signal that comes with the refusal would end it.
        self.argv = ["env", "--ignore-signal=XFSZ", *self.argv]

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Have no room for another byte on its disk meanwhile."""
        room = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, room[1]))
        try:
            yield
        finally:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, room)
