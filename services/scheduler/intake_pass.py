"""What becomes of the submissions that one pass of the intake deals with."""

from collections.abc import Mapping

from services.scheduler.intake_consumer import Answer, Submission
from services.scheduler.refusals import Refused
from taskyard.errors import TaskyardError


class Pass:
    """What becomes of the submissions of one pass.

    What has to wait comes again; all else is answered.

    Args:
        room: How many of them can wait.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self.answers: list[Answer] = []
        self.refused: list[Refused] = []
        #: Parts of submissions that were accepted otherwise.
        self.kept_out: list[Refused] = []
        #: Each with the queue that it waits for.
        self.waiting: list[tuple[Submission, str]] = []
        #: Each with what it failed by.
        self.resting: list[tuple[Submission, Exception]] = []

    @property
    def _has_room(self) -> bool:
        return len(self.waiting) + len(self.resting) < self._room

    def waits(self, submission: Submission, queue: str) -> bool:
        """Have a submission wait for a queue, if there is room."""
        if self._has_room:
            self.waiting.append((submission, queue))
            return True
        return False

    def rests(self, submission: Submission, error: Exception) -> bool:
        """Have a submission rest that failed by itself, if there is room."""
        if self._has_room:
            self.resting.append((submission, error))
            return True
        return False

    def unanswer(self, errors: Mapping[object, TaskyardError]) -> None:
        """Have submissions rest that were answered, though what is refused of them is kept nowhere.

        There is no other place for them, so they need no room.
        """
        answers, self.answers = self.answers, []
        for answer in answers:
            error = errors.get(answer.submission.delivery)
            if error is None:
                self.answers.append(answer)
            else:
                self.resting.append((answer.submission, error))
