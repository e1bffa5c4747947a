"""A network of this machine's own: each node of a cluster in a namespace, which can be cut off."""

import random
import subprocess
from contextlib import suppress

#: One of these is free: reserved for tests of networks, so nobody has routes there.
SUBNETS = [f"198.18.{number}" for number in range(1, 255)]


def ip(*arguments: str) -> None:
    """Run `ip`.

    Raises:
        RuntimeError: If it failed; with what it said.
    """
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Network:
    """A bridge, with this machine at one end and namespaces, `place`s, at others; needs root."""

    def __init__(self) -> None:
        self._subnet = random.choice(SUBNETS)
        self._name = f"ty{self._subnet.rpartition('.')[2]}"
        self._places: dict[int, str] = {}

    def start(self) -> None:
        """Make the bridge."""
        ip("link", "add", self._name, "type", "bridge")
        ip("address", "add", f"{self._subnet}.1/24", "dev", self._name)
        ip("link", "set", self._name, "up")

    def stop(self) -> None:
        """Remove all of it."""
        for place in self._places.values():
            with suppress(RuntimeError):
                ip("netns", "delete", place)
        with suppress(RuntimeError):
            ip("link", "delete", self._name)

    def add(self, number: int) -> str:
        """Make a place; return its namespace."""
        place = self._places[number] = f"{self._name}n{number}"
        ip("netns", "add", place)
        ip(
            "link",
            "add",
            self._cable(number),
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            place,
        )
        ip("link", "set", self._cable(number), "master", self._name, "up")
        ip("-n", place, "address", "add", f"{self.address(number)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", place, "link", "set", device, "up")
        return place

    def address(self, number: int) -> str:
        """Return the address of a place."""
        return f"{self._subnet}.{10 + number}"

    def cut_off(self, number: int) -> None:
        """Let no packet reach a place or leave it."""
        ip("link", "set", self._cable(number), "down")

    def part(self, number: int) -> None:
        """Let no packet pass between a place and the other places; this machine reaches it."""
        for other, place in self._places.items():
            if other != number:
                for here, there in ((self._places[number], other), (place, number)):
                    ip("-n", here, "route", "replace", "blackhole", self.address(there))

    def heal(self) -> None:
        """Let all packets pass."""
        for number, place in self._places.items():
            ip("link", "set", self._cable(number), "up")
            for other in self._places:
                with suppress(RuntimeError):  # it is not parted
                    ip("-n", place, "route", "delete", "blackhole", self.address(other))

    def _cable(self, number: int) -> str:
        return f"{self._name}c{number}"
