"""The audit log in the store: what operators did, a bounded number of entries, the newest kept."""

from typing import Any, Literal

from msgspec import Struct

#: `unknown`: nobody wrote down how it ended, so it may or may not have been done.
ActionOutcome = Literal["done", "unknown"]


class Action(Struct, frozen=True, kw_only=True):
    """An entry: what an operator did, or set out to do."""

    id: str
    #: By whom: what the API's key or the command line says.
    who: str
    #: The door: `api` or `cli`.
    origin: str
    #: What was done, such as `queue.pause`.
    action: str
    #: On what: the name of a queue, the id of a job; empty where a filter says it.
    target: str = ""
    outcome: ActionOutcome = "unknown"
    #: What it was, and what it is now, as far as that was changed. Never arguments, never secrets.
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    #: Of the request to the API, as in its log.
    request_id: str | None = None


class ActionFilter(Struct, frozen=True, kw_only=True):
    """Which entries; what is empty lets all pass."""

    #: Of this one, or with `key:ci` of all keys that had that name.
    who: str = ""
    #: Of this action, or with `queue` all that begin with `queue.`.
    action: str = ""
    target: str = ""
    #: Milliseconds since 1970, both included.
    after_ms: int = 0
    before_ms: int = 2**53 - 1

    def takes(self, entry: Action) -> bool:
        """Return whether an entry of a fitting time fits."""
        return (
            f"{entry.who}/".startswith(f"{self.who}/" if self.who else "")
            and self.target in ("", entry.target)
            and f"{entry.action}.".startswith(f"{self.action}." if self.action else "")
        )


class LoggedAction(Struct, frozen=True):
    """An entry, and when it was begun by the store's clock, in milliseconds since 1970."""

    at_ms: int
    action: Action
