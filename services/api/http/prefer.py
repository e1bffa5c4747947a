"""`Prefer: wait=N` (RFC 7240): how long a client would like to wait for a job's end."""

import re
import time
from http import HTTPStatus

from flask import Response, request

from services.api.context import context
from services.api.openapi import describe
from services.api.openapi.shapes import TEXT
from taskyard.job import TERMINAL, Job

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)
PARAMETER = describe.parameter(
    "Prefer",
    TEXT,
    "`wait=N` answers when the job has ended, after N seconds at the latest (RFC 7240).",
    place="header",
)


def wait_s() -> int:
    """Return the seconds that the client would like to wait, at most WAIT_MAX_S; 0: it does not say.

    A preference that is not understood is ignored, as the RFC wants it.
    """
    found = _WAIT.search(", ".join(request.headers.getlist("Prefer")))
    return min(int(found[1]), int(context().settings.wait_max_s)) if found else 0


class Waited:
    """The wait for a job that a client prefers; nothing if it does not.

    Args:
        job_id: The job.
    """

    def __init__(self, job_id: str) -> None:
        self._preferred_s = wait_s()
        started = time.monotonic()
        #: The job after the wait; None if there was none, or the job is gone.
        self.job: Job | None = None
        if self._preferred_s:
            self.job = context().wait_slots.job(job_id, self._preferred_s)
        self._has_ended = self.job is not None and self.job.state in TERMINAL
        self._is_applied = self._preferred_s > 0 and (
            self._has_ended or time.monotonic() - started >= self._preferred_s - 0.1
        )

    def mark(self, response: Response) -> Response:
        """Say in the headers whether there was a wait; a job that has ended is no longer "accepted"."""
        if self._is_applied:
            response.headers["Preference-Applied"] = f"wait={self._preferred_s}"
        if self._has_ended and response.status_code == HTTPStatus.ACCEPTED:
            response.status_code = HTTPStatus.OK
        return response
