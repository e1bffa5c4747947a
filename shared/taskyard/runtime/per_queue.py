"""Numbers that a setting gives for all queues and for some by name: `100000,emails=500`."""

from collections.abc import Mapping

from msgspec import Struct


class PerQueue(Struct, frozen=True):
    """A number for each queue."""

    default: int
    named: Mapping[str, int]

    def of(self, queue: str) -> int:
        """Return the number of this queue."""
        return self.named.get(queue, self.default)

    @property
    def smallest(self) -> int:
        """The smallest of all numbers."""
        return min([self.default, *self.named.values()])

    @property
    def is_nothing(self) -> bool:
        """Whether all numbers are 0."""
        return not any([self.default, *self.named.values()])


def parse(text: str) -> PerQueue:
    """Return the numbers in `text`; without one for all queues that is 0.

    Raises:
        ValueError: If a part is neither a whole number, 0 or more, nor `queue=number`.
    """
    default, named = 0, {}
    for part in filter(None, map(str.strip, text.split(","))):
        queue, is_named, number = part.rpartition("=")
        if not number.strip().isdecimal() or (is_named and not queue.strip()):
            raise ValueError(f"{part!r}: must be a whole number, 0 or more, or queue=number")
        if is_named:
            named[queue.strip()] = int(number)
        else:
            default = int(number)
    return PerQueue(default, named)
