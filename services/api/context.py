"""What the routes work with: made once for an application, found again from any of its requests."""

from collections.abc import Callable

from flask import Flask, current_app, request

from services.api.auth import exposure
from services.api.auth.keyring import Keyring
from services.api.auth.wrong_keys import WrongKeys
from services.api.events.hub import Hub
from services.api.events.stream_slots import Places
from services.api.http.readiness import Readiness
from services.api.http.wait_slots import Waits
from services.api.server.wsgi import HAS_LEFT
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.job import Job
from taskyard.operations.audit_log import AuditLog
from taskyard.rabbitmq.probe import BrokerLooks
from taskyard.runtime.group_commit import GroupCommit
from taskyard.runtime.keyed import Keyed
from taskyard.schedules.repository import Schedules

_KEY = "taskyard"
#: Threads that no waiting request ever gets.
RESERVED_THREADS = 8


class Parts:
    """The library's objects behind an application.

    Args:
        settings: Limits and defaults.
        dispatcher: What records and publishes jobs; its store answers all questions.
        is_stopping: Whether the server is about to stop, so that nothing should wait any longer.
    """

    def __init__(
        self, settings: Settings, dispatcher: Dispatcher, *, is_stopping: Callable[[], bool]
    ) -> None:
        self.settings = settings
        self.dispatcher = dispatcher
        self.store = dispatcher.store
        #: Jobs by their ids, as `store.look` gives them; what many requests read is one round trip.
        self.read: GroupCommit[str, Job | None] = GroupCommit(dispatcher.store.look)
        self.keyed = Keyed(dispatcher.store.secret)
        self.catalogue = Catalogue(dispatcher.store)
        self.audit_log = AuditLog(
            dispatcher.store,
            origin="api",
            max_entries=settings.audit_log_max,
            ttl_s=settings.audit_log_ttl,
        )
        self.keyring = Keyring(
            dispatcher.store,
            first=exposure.first_key(settings),
            is_open=exposure.is_open(settings),
        )
        self.wrong_keys = WrongKeys()
        #: Names that requests without a key may call the API by, besides those of loopback.
        self.local_hosts = frozenset({*settings.api_anonymous_hosts, settings.api_host.lower()})
        #: The same for `/metrics`.
        self.metrics_hosts = self.local_hosts | frozenset(settings.metrics_hosts)
        self.schedules = Schedules(dispatcher.store, self.catalogue)
        self.readiness = Readiness(dispatcher.store, dispatcher.publisher)
        self.broker_looks = BrokerLooks(settings.broker_url, tls=settings.tls)
        spare = settings.api_threads - RESERVED_THREADS
        streams = min(settings.api_streams, max(1, spare // 2))
        self.is_stopping = is_stopping
        self.hub = Hub(dispatcher.store, is_stopping=is_stopping)
        self.streams = Places(streams)
        places = max(1, spare - streams)
        self.waits = Waits(
            dispatcher, self.read, places=places, is_stopping=is_stopping, has_left=client_has_left
        )


def client_has_left() -> bool:
    """Return whether the client of this request has closed its side."""
    return bool(request.environ.get(HAS_LEFT, bool)())


def attach(app: Flask, parts: Parts) -> None:
    """Make `parts` those of `app`."""
    app.extensions[_KEY] = parts


def parts() -> Parts:
    """Return the parts of the application that handles this request."""
    found: Parts = current_app.extensions[_KEY]
    return found
