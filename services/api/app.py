"""The application: puts parts, routes and error answers together."""

from collections.abc import Callable

from apiflask import APIFlask

from services.api.auth import middleware
from services.api.context import Parts, attach
from services.api.http import problems, queries, request_log, security_headers
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
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.telemetry import metrics

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
    attach(app, Parts(settings, dispatcher, is_stopping=is_stopping))
    security_headers.install(app)
    request_log.install(app)
    problems.install(app)
    middleware.install(app)
    queries.install(app, document.inputs_of(ROUTES))
    document.configure(app)
    for routes in ROUTES:
        app.register_blueprint(routes.blueprint)
    document.publish(app, ROUTES, settings)
    metrics.BUILD_INFO.labels("api", __version__).set(1)
    return app
