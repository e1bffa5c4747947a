"""The routes of live streams (server-sent events): of one job, and of the states of all."""

import time
import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from services.api.auth.principal import Principal, current
from services.api.context import HAS_LEFT, Context, context
from services.api.events.hub import Event
from services.api.http.filters import MAX_STATES, StateName
from services.api.http.queries import from_query, parameters
from services.api.openapi import describe
from services.api.openapi.shapes import STATE, TEXT, TIME, WHOLE
from taskyard.errors import JobNotFound, Unavailable
from taskyard.job import TERMINAL, Job, rfc3339
from taskyard.request import Name

blueprint = APIBlueprint("streams", __name__)

CONTENT_TYPE = "text/event-stream"
#: A comment is sent after so much silence, so that no proxy closes the connection. Seconds.
HEARTBEAT_S = 15.0
#: A job's stream reads it this often: only its end is announced; to subscribe to all jobs would cost more.
#: All streams look this often whether the server is stopping. Seconds.
LOOK_S = 0.5
_LAST_ID = describe.parameter(
    "Last-Event-ID",
    TEXT,
    "The last event that a client got before it lost the connection; browsers send it themselves.",
    place="header",
)


class EventQuery(BaseModel):
    """Which changes a stream gives: those that fit all of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    state: list[StateName] = Field(
        default=[], max_length=MAX_STATES, description="To one of these states."
    )
    queue: Name | None = Field(default=None, description="Of jobs in this queue.")
    task: Name | None = Field(default=None, description="Of jobs of this task.")

    def matches(self, event: Event) -> bool:
        """Return whether the stream gives this event; that something was missed it always gives."""
        change = event.change
        return change is None or (
            (not self.state or change.state in self.state)
            and self.queue in (None, change.queue)
            and self.task in (None, change.task)
        )


SCHEMAS: dict[str, Any] = {
    "StateEvent": {
        "type": "object",
        "description": "A job has come to a state; the data of an event.",
        "properties": {
            "id": TEXT,
            "task": TEXT,
            "queue": TEXT,
            "state": STATE,
            "attempt": {**WHOLE, "description": "Number of its latest attempt."},
            "at": TIME,
        },
        "required": ["id", "task", "queue", "state", "attempt", "at"],
    }
}
INPUTS = {
    ("get", "/v1/jobs/{job_id}/events"): describe.Input(parameters=(_LAST_ID,)),
    ("get", "/v1/events"): describe.Input(parameters=(_LAST_ID, *parameters(EventQuery))),
}


@blueprint.get("/v1/jobs/<job_id>/events")
@blueprint.doc(
    tags=["Jobs"],
    responses=describe.answers(
        {
            200: describe.other("Events named `job`, each with the job.", CONTENT_TYPE, TEXT),
            204: describe.nothing("The job has ended, and the client knows it."),
        },
        HTTPStatus.NOT_FOUND,
    ),
)
def job_events(job_id: str) -> Response:
    """Stream a job: as it is now and after each change of it, until it has ended."""
    (job,) = context().read([job_id])
    if job is None:
        raise JobNotFound(job_id)
    seen = request.headers.get("Last-Event-ID", "")
    if job.state in TERMINAL and seen == _version(job):
        return Response(status=HTTPStatus.NO_CONTENT)  # a browser does not come back after this
    return _stream(_of_job(context(), job, seen, is_over=_is_over()))


@blueprint.get("/v1/events")
@blueprint.doc(
    tags=["Operation"],
    responses=describe.answers(
        {
            200: describe.other(
                "Events named `state`, each with a StateEvent, and `missed`.", CONTENT_TYPE, TEXT
            )
        }
    ),
)
def events() -> Response:
    """Stream the states of all jobs: each that a job comes to, or comes back to.

    `missed` says that there may have been events that this stream did not get; look at the lists again.
    """
    query, listener = from_query(EventQuery), current()
    after = _last_number(context().hub.epoch)

    def takes(event: Event) -> bool:
        return _is_authorized(event, listener) and query.matches(event)

    return _stream(_of_all(context(), after, takes, is_over=_is_over()))


def _is_authorized(event: Event, listener: Principal) -> bool:
    """Return whether the listener's key may access the job of this event."""
    change = event.change
    return change is None or listener.is_authorized(change.task, change.queue)


def _is_over() -> Callable[[], bool]:
    """Return what says whether a stream is over: its key is revoked, the server stops, or the client left.

    The last would not be noticed before something is sent, and until then the stream would hold its slot.
    """
    has_left, listener = request.environ.get(HAS_LEFT, bool), current()
    is_stopping = context().is_stopping
    return lambda: is_stopping() or not listener.holds() or has_left()


def _stream(chunks: Iterator[str]) -> Response:
    slots = context().stream_slots
    slots.take()
    headers = {"X-Accel-Buffering": "no"}
    response = Response(chunks, 200, headers, content_type=CONTENT_TYPE)
    response.call_on_close(slots.release)
    return response


def _of_job(
    services: Context, job: Job, seen: str, *, is_over: Callable[[], bool]
) -> Iterator[str]:
    """Give a job's changes, until it has ended or was removed."""
    spoke = time.monotonic()
    found: Job | None = job
    while found is not None:
        version = _version(found)
        if version != seen:
            seen, spoke = version, time.monotonic()
            yield _event("job", version, services.catalogue.document(found))
        if found.state in TERMINAL or is_over():
            return
        if time.monotonic() - spoke >= HEARTBEAT_S:
            spoke = time.monotonic()
            yield ": still here\n\n"
        found = _later(services, found)


def _later(services: Context, job: Job) -> Job | None:
    """Return the job as soon as it has ended, or after `LOOK_S`."""
    try:
        return services.store.wait(job.id, LOOK_S)
    except Unavailable:
        time.sleep(LOOK_S)  # the store may refuse at once, and does not announce when it is back
        return job  # the latest that was read


def _of_all(
    services: Context,
    after: int | None,
    takes: Callable[[Event], bool],
    *,
    is_over: Callable[[], bool],
) -> Iterator[str]:
    """Give the changes that the stream takes, as long as the client reads them."""
    epoch = services.hub.epoch
    with services.hub.reader(after) as reader:
        yield ": hello\n\n"  # from here on nothing is left out
        spoke = time.monotonic()
        while not is_over():
            sent = [_state_event(epoch, event) for event in reader.read(LOOK_S) if takes(event)]
            if not sent and time.monotonic() - spoke >= HEARTBEAT_S:
                # With the number of the last event, whether taken or not: the client need not go back to it.
                sent = [f"id: {epoch}/{reader.last}\n: still here\n\n"]
            if sent:
                spoke = time.monotonic()
                yield "".join(sent)


def _state_event(epoch: str, event: Event) -> str:
    number, change = f"{epoch}/{event.number}", event.change
    if change is None:
        return _event("missed", number, {})
    data = {
        "id": change.id,
        "task": change.task,
        "queue": change.queue,
        "state": change.state,
        "attempt": change.attempt,
        "at": rfc3339(change.at_ms),
    }
    return _event("state", number, data)


def _last_number(epoch: str) -> int | None:
    """Return the number of the last event that the client got; -1 if it is another process's."""
    text = request.headers.get("Last-Event-ID")
    if text is None:
        return None
    process, _, number = text.partition("/")
    return int(number) if process == epoch and number.isdecimal() and len(number) < 20 else -1


def _event(name: str, event_id: str, data: Any) -> str:
    text = msgspec.json.encode(data).decode()
    return f"id: {event_id}\nevent: {name}\ndata: {text}\n\n"


def _version(job: Job) -> str:
    """Return a version of the job that differs between its states; it is stored nowhere."""
    # A parked job goes to its queue every other second to be looked at, which changes nothing for anybody.
    where = None if job.reason == "unknown_task" else [job.state, job.run_at]
    shown = [where, job.attempt, job.cancel_requested, job.reason, job.finished_at]
    return f"{zlib.crc32(msgspec.json.encode([shown, job.progress])):08x}"
