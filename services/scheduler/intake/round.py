"""What becomes of the submissions that one pass of the intake deals with."""

from collections.abc import Sequence

from services.scheduler.intake.consumer import AnsweredSubmission, ReceivedSubmission
from services.scheduler.intake.refusals import RefusedSubmission


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
