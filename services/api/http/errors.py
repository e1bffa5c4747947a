"""Why HTTP refuses a request: for its parameters, its cursor, or too many live streams."""

from collections.abc import Iterable
from itertools import starmap

from taskyard.errors import TaskyardError, Unavailable
from taskyard.faults import Fault, bounded, summary


class InvalidParameter(TaskyardError):
    """A parameter of the query, or a header, has a value that is not accepted."""

    code = "invalid"

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.parameter = parameter
        self.detail = detail


class InvalidParameters(TaskyardError):
    """Parameters of the query are not accepted.

    Args:
        faults: Name, code and detail of each; `self.faults` has them, as `bounded` cuts them.
    """

    code = "invalid"

    def __init__(self, faults: Iterable[tuple[str, str, str]]) -> None:
        self.faults = bounded(starmap(Fault, faults))
        super().__init__(summary(self.faults))


class InvalidCursor(TaskyardError):
    """The cursor is none that this list has given."""

    code = "invalid"
    detail = "must be one that an answer to the same question has given"

    def __init__(self) -> None:
        super().__init__(f"cursor: {self.detail}")


class TooManyStreams(Unavailable):
    """All slots for live streams are taken."""

    code = "too_many_streams"
