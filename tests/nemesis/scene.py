"""What a fault has in its hands: the system, its load, and chance."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.nemesis.load import Load
from tests.nemesis.stack import Stack


@dataclass
class Scene:
    """One fault's stage; chance begins at the seed."""

    stack: Stack
    load: Load
    rng: random.Random
    #: What the fault wants to be read in the evidence.
    notes: list[str] = field(default_factory=list)
    #: When the fault was over; None: when its function returned. Seconds since 1970.
    over_at: float | None = None
    #: What is done when nobody submits any more.
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    def last(self, seconds: float) -> None:
        """Let what is the matter last for so long: this is no wait for something, but the fault itself."""
        time.sleep(seconds)

    def over(self) -> None:
        """Note that the fault is over now, whatever its function does then."""
        self.over_at = time.time()

    def note(self, text: str) -> None:
        """Write something into the evidence."""
        self.notes.append(text)
