"""Writing down what operators do: an entry before it is done, and what came of it afterwards.

The entry comes first, so that nothing is done that is not in the log: where the store does not take it,
the action is not carried out. One that a crash or a deadline cut off stays there with the outcome `unknown`.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypedDict, get_args

from msgspec import Meta
from msgspec.structs import replace

from taskyard.document_fields import Time
from taskyard.errors import TaskyardError, Unavailable
from taskyard.job import rfc3339
from taskyard.message import new_id
from taskyard.store import JobStore
from taskyard.store.audit_log import Action, ActionOutcome, LoggedAction

logger = logging.getLogger(__name__)

ActionName = Literal[
    "queue.pause",
    "queue.resume",
    "queue.purge",
    "queue.move",
    "task.pause",
    "task.resume",
    "task.limit",
    "task.unlimit",
    "schedule.create",
    "schedule.change",
    "schedule.pause",
    "schedule.resume",
    "schedule.trigger",
    "schedule.delete",
    "job.cancel",
    "job.retry",
    "job.change",
    "job.run_now",
    "job.delete",
    "jobs.cancel",
    "jobs.retry",
    "jobs.repair",
    "dead_letters.purge",
    "dead_letter.resubmit",
    "replay.start",
    "replay.stop",
    "key.create",
    "key.revoke",
    "key.forget",
]


class Entry:
    """What is to be said of an action that is being carried out.

    Args:
        before: What it was.
    """

    def __init__(self, before: Mapping[str, Any] | None) -> None:
        self.before = before
        self.after: Mapping[str, Any] | None = None
        self.target: str | None = None
        self.is_void = False

    def void(self) -> None:
        """Keep no entry: nothing was changed."""
        self.is_void = True


class AuditLog:
    """Writes entries of one door.

    Args:
        store: Where they are kept.
        origin: The door.
        max_entries: How many are kept.
        ttl_s: How long, in seconds.
    """

    def __init__(self, store: JobStore, *, origin: str, max_entries: int, ttl_s: int) -> None:
        self._store = store
        self._origin = origin
        self._max_entries = max_entries
        self._ttl_s = ttl_s

    @contextmanager
    def recording(
        self,
        action: ActionName,
        target: str = "",
        *,
        who: str,
        request_id: str | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> Iterator[Entry]:
        """Have what is done within written down; the entry given takes what is known only afterwards.

        An action that is refused leaves no entry. Values must be plain JSON, without arguments and secrets.

        Raises:
            StoreUnavailable: If the entry could not be written; nothing is done then.
        """
        begun = Action(
            id=new_id(),
            who=who,
            origin=self._origin,
            action=action,
            target=target,
            before=_plain(before),
            request_id=request_id,
        )
        self._store.begin_action(begun, max_entries=self._max_entries, ttl_s=self._ttl_s)
        entry = Entry(before)
        try:
            yield entry
        except Unavailable:
            raise  # it may have been done: the entry says so
        except TaskyardError:
            entry.void()
            self._end(begun, entry)
            raise
        self._end(begun, entry)

    def _end(self, begun: Action, entry: Entry) -> None:
        """Complete the entry; if that fails it stays, and with it that its end is not known."""
        try:
            if entry.is_void:
                self._store.end_action(begun.id, None)
            else:
                self._store.end_action(
                    begun.id,
                    replace(
                        begun,
                        outcome="done",
                        target=begun.target if entry.target is None else entry.target,
                        before=_plain(entry.before),
                        after=_plain(entry.after),
                    ),
                )
        except Unavailable as error:
            facts = {"action": begun.action, "target": begun.target, "entry": begun.id}
            logger.warning("the end of an action is not written down: %s", error, extra=facts)


class ActionDocument(TypedDict):
    """What an operator did."""

    id: str
    at: Time
    who: Annotated[str, Meta(description="By whom: `key:<name>/<id>`, or `cli:<user>@<host>`.")]
    origin: Annotated[
        str, Meta(description="Through which door.", extra_json_schema={"enum": ["api", "cli"]})
    ]
    action: Annotated[str, Meta(examples=list(get_args(ActionName)[:3]))]
    target: Annotated[str | None, Meta(description="On what; null where a filter says it.")]
    outcome: Annotated[
        ActionOutcome,
        Meta(description="`unknown`: it was begun, and how it ended could not be recorded."),
    ]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: Annotated[str | None, Meta(description="The request, as in the API's log.")]


def document(entry: LoggedAction) -> ActionDocument:
    """Return the document that shows an entry."""
    action = entry.action
    return {
        "id": action.id,
        "at": rfc3339(entry.at_ms),
        "who": action.who,
        "origin": action.origin,
        "action": action.action,
        "target": action.target or None,
        "outcome": action.outcome,
        "before": action.before,
        "after": action.after,
        "request_id": action.request_id,
    }


def _plain(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if values is None else dict(values)
