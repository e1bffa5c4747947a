"""The application: composes what its requests have at hand, its routes and its error answers."""

from collections.abc import Callable

from apiflask import APIFlask

from services.api.auth import exposure, middleware
from services.api.auth.keyring import Keyring
from services.api.auth.wrong_keys import WrongKeys
from services.api.context import Context, attach, client_has_left
from services.api.events.hub import Hub
from services.api.events.stream_slots import StreamSlots
from services.api.http import problems, queries, replies, request_log
from services.api.http.readiness import Readiness
from services.api.http.wait_slots import WaitSlots
from services.api.openapi import document
from services.api.routes import (
    asyncapi,
    audit_log,
    batch,
    bulk,
    catalogue,
    controls,
    dead_letters,
    docs,
    events,
    explain,
    job_changes,
    jobs,
    listing,
    operation,
    removal,
    replays,
    retries,
    schedule_fires,
    schedules,
    stats,
)
from taskyard import __version__
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.job import Job
from taskyard.operations.audit_log import AuditLog
from taskyard.rabbitmq.inspect import SharedProbe
from taskyard.runtime.group_commit import GroupCommit
from taskyard.runtime.keyed_hash import KeyedHash
from taskyard.schedules.repository import ScheduleRepository
from taskyard.telemetry import metrics

#: Threads that no waiting request ever gets.
RESERVED_THREADS = 8

#: The modules of routes.
ROUTES = (
    jobs,
    batch,
    listing,
    bulk,
    retries,
    job_changes,
    removal,
    explain,
    events,
    catalogue,
    stats,
    controls,
    schedules,
    schedule_fires,
    dead_letters,
    replays,
    audit_log,
    operation,
    docs,
    asyncapi,
)


def create_app(
    settings: Settings, dispatcher: Dispatcher, *, is_stopping: Callable[[], bool] = lambda: False
) -> APIFlask:
    """Return the WSGI application of the API.

    Args:
        settings: Limits and defaults.
        dispatcher: What records and publishes jobs; the caller starts and closes it.
        is_stopping: Whether the server is about to stop, so that nothing should wait any longer.
    """
    app = APIFlask(
        "services.api",
        title="taskyard",
        version=__version__,
        spec_path=None,
        docs_path=None,
        json_errors=False,
        static_folder=None,  # type: ignore[arg-type]  # Flask takes None for "none"
    )
    app.url_map.merge_slashes = False  # a redirect would be a page, and know nothing of proxies
    attach(app, compose(settings, dispatcher, is_stopping=is_stopping))
    replies.install(app)
    request_log.install(app)
    problems.install(app)
    middleware.install(app)
    queries.install(app, document.inputs_of(ROUTES))
    document.configure(app)
    for routes in ROUTES:
        app.register_blueprint(routes.blueprint)
    document.build(app, ROUTES, settings)
    metrics.BUILD_INFO.labels("api", __version__).set(1)
    return app


def compose(
    settings: Settings, dispatcher: Dispatcher, *, is_stopping: Callable[[], bool] = lambda: False
) -> Context:
    """Return what the requests of an application have at hand; arguments as for `create_app`."""
    store = dispatcher.store
    read: GroupCommit[str, Job | None] = GroupCommit(store.look)
    catalogue = Catalogue(store)
    local_hosts = frozenset({*settings.api_anonymous_hosts, settings.api_host.lower()})
    spare_threads = settings.api_threads - RESERVED_THREADS
    streams = min(settings.api_streams, max(1, spare_threads // 2))
    return Context(
        settings=settings,
        dispatcher=dispatcher,
        store=store,
        read=read,
        keyed=KeyedHash(store.secret),
        catalogue=catalogue,
        schedules=ScheduleRepository(store),
        audit_log=AuditLog(
            store,
            origin="api",
            max_entries=settings.audit_log_max,
            ttl_s=settings.audit_log_ttl,
        ),
        broker_looks=SharedProbe(settings.broker_url, tls=settings.tls),
        keyring=Keyring(
            store, first=exposure.first_key(settings), is_open=exposure.is_open(settings)
        ),
        wrong_keys=WrongKeys(),
        local_hosts=local_hosts,
        metrics_hosts=local_hosts | frozenset(settings.metrics_hosts),
        readiness=Readiness(store, dispatcher.publisher),
        wait_slots=WaitSlots(
            dispatcher,
            read,
            count=max(1, spare_threads - streams),
            is_stopping=is_stopping,
            has_left=client_has_left,
        ),
        stream_slots=StreamSlots(streams),
        hub=Hub(store, is_stopping=is_stopping),
        is_stopping=is_stopping,
    )
