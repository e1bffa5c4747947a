"""The application: puts parts, routes and error answers together."""

from collections.abc import Callable

from apiflask import APIFlask

from services.api import (
    access,
    asyncapi,
    audit_log,
    batch,
    bulk,
    catalogue,
    controls,
    dead_letters,
    docs,
    explain,
    jobs,
    listing,
    openapi,
    operation,
    problems,
    queries,
    removal,
    replays,
    request_log,
    retries,
    schedule_fires,
    schedules,
    security_headers,
    stats,
    streams,
    waiting,
)
from services.api.parts import Parts, attach
from taskyard import __version__, metrics
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher

#: The modules of routes.
ROUTES = (
    jobs,
    batch,
    listing,
    bulk,
    retries,
    waiting,
    removal,
    explain,
    streams,
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
    access.install(app)
    queries.install(app, openapi.inputs_of(ROUTES))
    openapi.configure(app)
    for routes in ROUTES:
        app.register_blueprint(routes.blueprint)
    openapi.publish(app, ROUTES, settings)
    metrics.BUILD_INFO.labels("api", __version__).set(1)
    return app
