"""What a request has at hand: the objects behind an application, found again from any of its requests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, current_app, request

from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.job import Job
from taskyard.operations.audit_log import AuditLog
from taskyard.rabbitmq.inspect import SharedProbe
from taskyard.runtime.group_commit import GroupCommit
from taskyard.runtime.keyed_hash import KeyedHash
from taskyard.schedules.repository import ScheduleRepository
from taskyard.store.protocol import JobStore

if TYPE_CHECKING:
    from services.api.auth.keyring import Keyring
    from services.api.auth.wrong_keys import WrongKeys
    from services.api.events.hub import Hub
    from services.api.events.stream_slots import StreamSlots
    from services.api.http.readiness import Readiness
    from services.api.http.wait_slots import WaitSlots

#: Where a request's environment has the function that tells whether its client has closed its side.
HAS_LEFT = "taskyard.has_left"
_EXTENSION = "taskyard"


@dataclass(kw_only=True)
class Context:
    """The objects behind an application; `app.compose` makes them."""

    settings: Settings
    dispatcher: Dispatcher
    store: JobStore
    #: Jobs by their ids, as `store.look` gives them; what many requests read is one round trip.
    read: GroupCommit[str, Job | None]
    keyed: KeyedHash
    catalogue: Catalogue
    schedules: ScheduleRepository
    audit_log: AuditLog
    broker_looks: SharedProbe
    keyring: "Keyring"
    wrong_keys: "WrongKeys"
    #: Names that requests without a key may call the API by, besides those of loopback.
    local_hosts: frozenset[str]
    #: The same for `/metrics`.
    metrics_hosts: frozenset[str]
    readiness: "Readiness"
    wait_slots: "WaitSlots"
    stream_slots: "StreamSlots"
    hub: "Hub"
    #: Whether the server is about to stop, so that nothing should wait any longer.
    is_stopping: Callable[[], bool]


def attach(app: Flask, made: Context) -> None:
    """Make `made` the context of `app`, in place of an earlier one."""
    app.extensions[_EXTENSION] = made


def context() -> Context:
    """Return the context of the application that handles this request."""
    found: Context = current_app.extensions[_EXTENSION]
    return found


def client_has_left() -> bool:
    """Return whether the client of this request has closed its side."""
    return bool(request.environ.get(HAS_LEFT, bool)())
