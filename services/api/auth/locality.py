"""Whether a request without a key can be taken for one of this machine's own.

Loopback alone does not make it so: a proxy on this machine forwards those of others, and a web page that
somebody here looks at can send requests too, by a name that resolves to this machine (DNS rebinding) or
blindly across origins.
"""

from collections.abc import Collection

from flask import Request

from services.api.auth.errors import NotLocal
from taskyard.runtime.browsers import ANY, is_own_host

#: What proxies add.
_FORWARDED = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "Via",
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOW = "; make a key with `taskyard keys create`, or see docs/keys.md"


def check(request: Request, hosts: Collection[str]) -> None:
    """Let pass what can be from here.

    Args:
        request: One without a key.
        hosts: Names that it may call this API by, besides those of loopback; `*`: whatever it calls.

    Raises:
        NotLocal: If it came through a proxy, calls this machine by a strange name, or is a web page's.
    """
    if ANY in hosts:
        return
    for name in _FORWARDED:
        if name in request.headers:
            raise NotLocal(f"without a key no request is taken through a proxy ({name}){_HOW}")
    host = request.environ.get("HTTP_HOST")
    if host is not None and not is_own_host(host, hosts):
        text = f"without a key the API is not called by the name {host[:100]!r}"
        raise NotLocal(f"{text}, unless API_ANONYMOUS_HOSTS has it{_HOW}")
    if _is_foreign_page(request, host) and not _is_link(request):
        raise NotLocal(f"without a key no request of another web page is taken{_HOW}")


def check_host(request: Request, hosts: Collection[str]) -> None:
    """Let pass what calls us by one of these names, by one of loopback, or by the address that it came to.

    Raises:
        NotLocal: If it does not: it may be of a web page whose own name resolves to this machine.
    """
    host = request.environ.get("HTTP_HOST")
    if host is None or is_own_host(host, hosts, address=request.environ["SERVER_NAME"]):
        return
    text = f"metrics are not told by the name {host[:100]!r}, unless METRICS_HOSTS has it"
    raise NotLocal(f"{text}; or send a key")


def _is_foreign_page(request: Request, host: str | None) -> bool:
    """Return whether a browser says that a page of another origin sends this."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != f"{request.scheme}://{host}".lower():
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")


def _is_link(request: Request) -> bool:
    """Return whether somebody has followed a link of that page, to what is read and answered at once.

    The page itself has no use for anything else: it is not shown the answer, but the request costs a thread,
    and a stream or a wait keeps a place as long as the page likes.
    """
    mode, target = (request.headers.get(f"Sec-Fetch-{name}") for name in ("Mode", "Dest"))
    is_shown = (mode, target) == ("navigate", "document") and "Origin" not in request.headers
    return is_shown and request.method in _SAFE and not _may_last(request)


def _may_last(request: Request) -> bool:
    return request.path.rpartition("/")[2] == "events" or "wait_s" in request.args
