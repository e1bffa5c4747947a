"""What becomes of the submissions that one pass of the intake deals with."""

from collections.abc import Sequence

from services.scheduler.intake.consumer import Answer, Submission
from services.scheduler.intake.refusals import Refused


class Pass:
    """What becomes of the submissions of one pass.

    What has to wait comes again; all else is answered.

    Args:
        taken: The submissions.
        room: How many of them can wait.
        room_bytes: How long their bodies may be together.
    """

    def __init__(self, taken: Sequence[Submission], *, room: int, room_bytes: int) -> None:
        self._open = {each.delivery: each for each in taken}
        self._room = room
        self._room_bytes = room_bytes
        #: Of what is safe: these hold whatever else fails.
        self.answers: list[Answer] = []
        self.refused: list[Refused] = []
        #: Answers that hold once these parts of their submissions are kept.
        self.partly: list[tuple[Answer, list[Refused]]] = []
        #: Each with the queue that it waits for.
        self.waiting: list[tuple[Submission, str]] = []
        #: Each with what it failed by.
        self.resting: list[tuple[Submission, Exception]] = []

    @property
    def open(self) -> list[Submission]:
        """What nothing has become of yet."""
        return list(self._open.values())

    def conclude(self, submission: Submission) -> None:
        """Note that a submission is in other hands now."""
        del self._open[submission.delivery]

    def accept(self, answer: Answer, parts: list[Refused]) -> None:
        """Have a submission answered of which jobs are made, once these parts of it are kept."""
        if parts:
            self.partly.append((answer, parts))
        else:
            self.answers.append(answer)

    def _has_room(self, submission: Submission) -> bool:
        if not self._room or len(submission.body) > self._room_bytes:
            return False
        self._room -= 1
        self._room_bytes -= len(submission.body)
        return True

    def waits(self, submission: Submission, queue: str) -> bool:
        """Have a submission wait for a queue, if there is room."""
        if self._has_room(submission):
            self.waiting.append((submission, queue))
            return True
        return False

    def rests(self, submission: Submission, error: Exception) -> bool:
        """Have a submission rest that failed by itself, if there is room."""
        if self._has_room(submission):
            self.resting.append((submission, error))
            return True
        return False
