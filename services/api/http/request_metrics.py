"""The metrics of HTTP requests; a route is counted under its template, so labels stay few."""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "taskyard_http_requests_total", "Requests answered.", ["method", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "taskyard_http_request_seconds",
    "Time to answer a request, requested waits included.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
STREAMS = Gauge("taskyard_http_streams", "Live streams that are open.")
STREAMS_LIMIT = Gauge("taskyard_http_streams_limit", "Live streams that may be open at a time.")
STREAMS_REFUSED = Counter(
    "taskyard_http_streams_refused_total", "Live streams refused because all places were taken."
)
CUT_OFF = Counter(
    "taskyard_http_cut_off_total",
    "Connections ended because they were too slow, or because there were too many.",
    ["reason"],
)
for _reason in ("head", "body", "answer", "address", "connections", "memory"):
    CUT_OFF.labels(_reason)
WAITS = Gauge("taskyard_http_waits", "Requests that wait, for a job or for RabbitMQ.")
WAITS_LIMIT = Gauge("taskyard_http_waits_limit", "Requests that may wait at a time.")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@lru_cache(maxsize=1024)
def _children(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), REQUEST_SECONDS.labels(method, route)


def observe(method: str, route: str, status: int, duration_s: float) -> None:
    """Count one answered request; unknown methods are counted together."""
    count, seconds = _children(method if method in _METHODS else "other", route, status)
    count.inc()
    seconds.observe(duration_s)
