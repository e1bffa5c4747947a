"""How much one pass of the intake takes."""

from collections.abc import Iterable

from services.scheduler.intake.consumer import ReceivedSubmission

#: Submissions of one pass, and bytes of their bodies: RabbitMQ has to confirm all of them within a deadline.
MOST = 200
MOST_BYTES = 8 * 1024 * 1024


class Portion:
    """Submissions that are taken for one pass, until there are enough: one is, however large.

    Args:
        most: With so many it is full.
        most_bytes: With so many bytes of bodies as well.
    """

    def __init__(self, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self.taken: list[ReceivedSubmission] = []
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether there are enough."""
        return len(self.taken) >= self._most or self._bytes >= self._most_bytes

    def fill(self, source: Iterable[ReceivedSubmission]) -> None:
        """Take from a source until it has no more, or there are enough: nothing is asked of it then."""
        rest = iter(source)
        while not self.is_full and (submission := next(rest, None)) is not None:
            self.taken.append(submission)
            self._bytes += len(submission.body)
