"""A Redis whose clock can be set, as by an operator or by a machine that had a wrong time."""

import struct
import subprocess
from pathlib import Path

from taskyard.local_servers import RedisServer
from tools.install_packages import COMPILER_PACKAGE, HEADERS_PACKAGE, ensure_installed

SOURCE = Path(__file__).with_name("clock.c")


class RedisWithClock(RedisServer):
    """A private Redis, on time until `set_clock` is called.

    Args:
        folder: Where its data is.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        ensure_installed([COMPILER_PACKAGE, HEADERS_PACKAGE])
        library = folder / "clock.so"
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)]
        subprocess.run(command, check=True)
        self._offset = folder / "clock-offset"
        self._offset.write_bytes(struct.pack("q", 0))
        self.env |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._offset)}

    def set_clock(self, offset_s: int) -> None:
        """Set its clock to the true time and so many seconds, at once."""
        with self._offset.open("r+b") as file:  # in place: it is mapped into the server's memory
            file.write(struct.pack("q", offset_s))
