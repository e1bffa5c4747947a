"""Which jobs are submitted: a mixture of all tasks, chosen by a seeded generator."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.nemesis import tasks

#: Of a hundred jobs, how many are of which task.
MIXTURE = {
    "quick": 45,
    "nap": 13,
    "async_nap": 10,
    "flaky": 9,
    "broken": 6,
    "limited": 10,
    "long nap": 7,
}
LONG_NAP_S = 2.5
#: The part of the jobs that are submitted for later.
DELAYED = 0.2


@dataclass(frozen=True)
class Choice:
    """A job to submit."""

    number: int
    task: str
    args: list[Any]
    delay_s: float | None = None

    @property
    def request(self) -> dict[str, Any]:
        """The job as a submission has it, without an id."""
        asked = {"task": tasks.PREFIX + self.task, "args": self.args}
        return asked if self.delay_s is None else {**asked, "delay_s": self.delay_s}


class Chooser:
    """Chooses jobs, each with a number of its own.

    Args:
        rng: Where chance comes from.
        numbers: Numbers that no other chooser gives out.
        longest_delay_s: Jobs for later are due within this time.
    """

    def __init__(
        self, rng: random.Random, numbers: Iterator[int], *, longest_delay_s: float
    ) -> None:
        self.rng = rng
        self._numbers = numbers
        self._longest_delay_s = longest_delay_s

    def number(self) -> int:
        """Return the next number."""
        return next(self._numbers)

    def choose(self) -> Choice:
        """Return the next job, to run at once or later."""
        chosen = self.choose_ready()
        if self.rng.random() >= DELAYED:
            return chosen
        delay_s = round(self.rng.uniform(0.1, 1.0) * self._longest_delay_s, 2)
        return Choice(chosen.number, chosen.task, chosen.args, delay_s)

    def choose_ready(self) -> Choice:
        """Return the next job, to run at once."""
        (kind,) = self.rng.choices(list(MIXTURE), list(MIXTURE.values()))
        number = self.number()
        return Choice(number, kind.removeprefix("long "), [number, *self._arguments(kind)])

    def _arguments(self, kind: str) -> list[Any]:
        match kind:
            case "nap" | "async_nap":
                return [round(self.rng.uniform(0.1, 0.6), 2)]
            case "long nap":
                return [LONG_NAP_S]
            case "flaky":
                return [self.rng.choice([1, 2])]
            case "limited":
                return [0.15]
        return []


def new_numbers() -> Iterator[int]:
    """Return numbers from 1 on; threads may share them."""
    return itertools.count(1)
