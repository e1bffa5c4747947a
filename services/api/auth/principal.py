"""Who makes the request that is being handled, and what their key allows."""

from collections.abc import Callable

import msgspec
from flask import g, has_request_context

from taskyard.store.keys import ApiKey


class Principal(msgspec.Struct, frozen=True):
    """A key, or an anonymous caller, who may do everything: there is no key then."""

    key: ApiKey | None = None
    #: Whether it is still valid, for what lasts longer than a request.
    holds: Callable[[], bool] = lambda: True

    @property
    def name(self) -> str:
        """What to call it to its face: `anonymous`, or `key:` and the key's name."""
        return "anonymous" if self.key is None else f"key:{self.key.name}"

    @property
    def who(self) -> str:
        """What to call it where that is kept: with the key's id, for a later key may have its name."""
        return self.name if self.key is None else f"{self.name}/{self.key.id}"

    @property
    def is_bound(self) -> bool:
        """Whether it may access only some tasks or queues."""
        return self.key is not None and bool(self.key.tasks or self.key.queues)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it is bound to; empty: all."""
        return () if self.key is None else self.key.tasks

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that it is bound to; empty: all."""
        return () if self.key is None else self.key.queues

    def may(self, scope: str) -> bool:
        """Return whether it has this scope; admin has all of them."""
        return self.key is None or scope in self.key.scopes or "admin" in self.key.scopes

    def is_authorized(self, task: str, queue: str) -> bool:
        """Return whether it may access jobs of this task in this queue."""
        return (not self.tasks or task in self.tasks) and (not self.queues or queue in self.queues)


ANONYMOUS = Principal()


def current() -> Principal:
    """Return who makes this request; anonymous outside of requests, and where no key is checked."""
    if not has_request_context():
        return ANONYMOUS
    found: Principal = g.get("principal", ANONYMOUS)
    return found


def who() -> str:
    """Return who makes this request: `anonymous`, or `key:<name>/<id>`."""
    return current().who
