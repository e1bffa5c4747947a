"""Faults: what is wrong with a submission, each with its place, a code and a text, all of bounded size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from taskyard.runtime.short_text import cut

#: Most faults of one error: nobody reads more, and a million would fill the memory.
MAX_FAULTS = 100
#: Code of the fault that says that not all of them are listed.
MORE = "more"
#: Longest pointer and longest text of a fault, as JSON. Bytes.
MAX_POINTER_BYTES = 300
MAX_DETAIL_BYTES = 600


#: Faults that the text of the error itself has.
MAX_IN_SUMMARY = 10


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a submission.

    Args:
        pointer: Where, as a JSON pointer into the submission (RFC 6901), such as `/args/0`.
        code: What kind of fault, for programs: `missing`, `type`, `range`, `unknown_task`, …
        detail: What is wrong and what is accepted, for people.

    Long texts are cut: there may be input in them.
    """

    pointer: str
    code: str
    detail: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "pointer", cut(self.pointer, MAX_POINTER_BYTES))
        object.__setattr__(self, "detail", cut(self.detail, MAX_DETAIL_BYTES))

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.detail}"


def pointer_part(part: object) -> str:
    """Return a part of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")


def bounded(faults: Iterable[Fault]) -> list[Fault]:
    """Return the first `MAX_FAULTS`, and if there are more, one that says so; the rest is not even made."""
    some = list(islice(faults, MAX_FAULTS + 1))
    return some if len(some) <= MAX_FAULTS else [*some[:MAX_FAULTS], more_faults()]


def more_faults(pointer: str = "") -> Fault:
    """Return the fault that says that not all of them are listed."""
    return Fault(pointer, MORE, "more may be wrong here than is listed")


def summary(faults: Sequence[Fault]) -> str:
    """Return a text of the first of some faults, and how many there are besides."""
    text = "; ".join(map(str, faults[:MAX_IN_SUMMARY]))
    others = faults[MAX_IN_SUMMARY:]
    if not others:
        return text
    count = sum(fault.code != MORE for fault in others)
    return f"{text}; and {count} more{' at least' if count < len(others) else ''}"
