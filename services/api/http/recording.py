"""What routes call to have an operator's action in the audit log."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from services.api.auth.principal import who
from services.api.context import context
from services.api.http.request_log import request_id
from taskyard.operations.actor import Actor
from taskyard.operations.audit_log import ActionName, Entry


def actor() -> Actor:
    """Return who makes this request, as what operators do is called with."""
    return Actor(
        store=context().store,
        settings=context().settings,
        catalogue=context().catalogue,
        audit_log=context().audit_log,
        who=who(),
        request_id=request_id(),
        read=context().read,
    )


def recording(
    action: ActionName, target: str = "", *, before: Mapping[str, Any] | None = None
) -> AbstractContextManager[Entry]:
    """Have what is done within written down, by whom and in which request.

    Args:
        action: What is done.
        target: On what.
        before: What it was, without arguments and secrets.

    Raises:
        StoreUnavailable: If the entry could not be written; nothing is done then.
    """
    return actor().recording(action, target, before=before)


def record(
    action: ActionName,
    target: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down an action that has been carried out; where it can be, rather use `recording`.

    Raises:
        StoreUnavailable: If the entry could not be written.
    """
    with recording(action, target, before=before) as entry:
        entry.after = after
