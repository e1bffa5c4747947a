"""One pass of the intake: which submissions it takes, and what becomes of each."""

from collections.abc import Iterable, Sequence

from services.scheduler.intake.received import AnsweredSubmission, ReceivedSubmission
from services.scheduler.intake.refusals import RefusedSubmission

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


class Pass:
    """What becomes of the submissions of one pass.

    What has to wait comes again; all else is answered.

    Args:
        taken: The submissions.
        room: How many of them can wait.
        room_bytes: How long their bodies may be together.
    """

    def __init__(self, taken: Sequence[ReceivedSubmission], *, room: int, room_bytes: int) -> None:
        self._open = {each.delivery: each for each in taken}
        self._room = room
        self._room_bytes = room_bytes
        #: Of what is safe: these hold whatever else fails.
        self.answers: list[AnsweredSubmission] = []
        self.refused: list[RefusedSubmission] = []
        #: Answers that hold once these parts of their submissions are kept.
        self.partly: list[tuple[AnsweredSubmission, list[RefusedSubmission]]] = []
        #: Each with the queue that it waits for.
        self.waiting: list[tuple[ReceivedSubmission, str]] = []
        #: Each with what it failed by.
        self.resting: list[tuple[ReceivedSubmission, Exception]] = []

    @property
    def open(self) -> list[ReceivedSubmission]:
        """What nothing has become of yet."""
        return list(self._open.values())

    def conclude(self, submission: ReceivedSubmission) -> None:
        """Note that a submission is in other hands now."""
        del self._open[submission.delivery]

    def accept(self, answer: AnsweredSubmission, parts: list[RefusedSubmission]) -> None:
        """Have a submission answered of which jobs are made, once these parts of it are kept."""
        if parts:
            self.partly.append((answer, parts))
        else:
            self.answers.append(answer)

    def _has_room(self, submission: ReceivedSubmission) -> bool:
        if not self._room or len(submission.body) > self._room_bytes:
            return False
        self._room -= 1
        self._room_bytes -= len(submission.body)
        return True

    def waits(self, submission: ReceivedSubmission, queue: str) -> bool:
        """Have a submission wait for a queue, if there is room."""
        if self._has_room(submission):
            self.waiting.append((submission, queue))
            return True
        return False

    def rests(self, submission: ReceivedSubmission, error: Exception) -> bool:
        """Have a submission rest that failed by itself, if there is room."""
        if self._has_room(submission):
            self.resting.append((submission, error))
            return True
        return False
