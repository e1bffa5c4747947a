"""Which ports the servers of a checkout had last, so that they have them again."""

import json
from contextlib import suppress
from pathlib import Path

from taskyard.local_servers.ports import choose_port, claim

LAST_PORT = 65_535


class KeptPorts:
    """Ports by what they are for, kept in a file: addresses in other terminals stay good over a restart.

    They are free ones and no fixed defaults, so that checkouts side by side never have the same: an address
    of one is at worst dead, and never leads to the servers of another.
    """

    def __init__(self, path: Path) -> None:
        """Read the file; one that is missing or damaged keeps none."""
        self._path = path
        self._kept = _read(path)
        #: What has another port than before, as the old one is taken: for what, the old and the new.
        self.moved: list[tuple[str, int, int]] = []

    def port(self, use: str) -> int | None:
        """Return the port that is kept for `use`, such as `redis`."""
        return self._kept.get(use)

    def choose(self, use: str) -> int:
        """Return the port that is kept for `use` if it is free, else a free one that is kept from then on.

        Raises:
            OSError: If no port is free, or the file cannot be written.
        """
        old = self._kept.get(use)
        if old is not None and claim(old):
            return old
        new = self._kept[use] = choose_port()
        if old is not None:
            self.moved.append((use, old, new))
        self._path.write_text(json.dumps(self._kept))
        return new


def _read(path: Path) -> dict[str, int]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return {use: port for use, port in found.items() if _is_port(port)}
    return {}


def _is_port(value: object) -> bool:
    return isinstance(value, int) and 0 < value <= LAST_PORT
