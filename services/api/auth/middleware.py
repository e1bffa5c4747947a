"""Lets requests in: with a key that may make them, or without one as long as there is none.

The answer to a key with a rate limit says how much of that is left (draft-ietf-httpapi-ratelimit-headers).
"""

from flask import Flask, Response, g, request

from services.api.auth import locality, permissions
from services.api.auth.errors import KeyRefused, KeyRequired, ScopeMissing, WrongKey
from services.api.auth.keyring import exceeded, reset_s
from services.api.auth.principal import Principal
from services.api.context import context
from taskyard.keys import is_token

#: The other way to send a key, for clients that cannot set `Authorization`.
KEY_HEADER = "X-API-Key"


def install(app: Flask) -> None:
    """Check every request to `app`: its key, its rate and its scopes."""
    app.before_request(_admit)
    app.after_request(_add_limit)


def _admit() -> None:
    """Find out who makes the request, and whether they may.

    Raises:
        Refusal: If not.
        StoreUnavailable: If the keys cannot be read.
    """
    rule = permissions.of(request, context().settings)
    if rule is None:
        _admit_openly()
        return
    principal = g.principal = _principal()
    if principal.key is None:
        return
    metered = context().keyring.meter(principal.key)
    if metered is not None:
        g.metered = metered
        if refusal := exceeded(principal.key, metered):
            raise refusal
    for scope in rule.scopes:
        if not principal.may(scope):
            raise ScopeMissing(principal.key.name, scope)
    if principal.is_bound:
        rule.guard(principal, request.view_args or {})


def _admit_openly() -> None:
    """Let in who needs no key: to metrics only by one of our names, unless there is a key all the same."""
    if request.url_rule is None or request.url_rule.rule != "/metrics":
        return
    token = _token()
    if token is None:
        locality.check_host(request, context().metrics_hosts)
    else:
        g.principal = _owner(token)


def _principal() -> Principal:
    token = _token()
    if token is not None:
        return _owner(token)
    if context().keyring.is_needed():
        raise KeyRequired
    locality.check(request, context().local_hosts)
    return context().keyring.anonymous()


def _owner(token: str) -> Principal:
    """Return whose key this is.

    Raises:
        Refusal: If there is no such key, or the address has sent too many wrong ones.
        StoreUnavailable: If the keys cannot be read.
    """
    address = request.remote_addr or ""
    context().wrong_keys.check(address, token)
    try:
        principal = context().keyring.principal(token)
    except WrongKey:
        context().wrong_keys.wrong(address)
        raise
    context().wrong_keys.right(address, token)
    return principal


def _token() -> str | None:
    """Return the key that came with the request; None if there is none.

    Raises:
        KeyRefused: If there are two, or it cannot be one.
    """
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    bearer = credentials.strip(" ") if scheme.lower() == "bearer" else None
    given = request.headers.get(KEY_HEADER)
    if bearer is not None and given is not None and bearer != given:
        raise KeyRefused(f"Authorization and {KEY_HEADER} have different keys; send one")
    token = given if bearer is None else bearer
    if token is not None and not is_token(token):
        raise KeyRefused("this is no API key: it has another form")
    return token


def _add_limit(response: Response) -> Response:
    if "metered" in g:
        key, metered = g.principal.key, g.metered
        left = max(0, key.requests - metered.used)
        response.headers["RateLimit-Policy"] = f'"key";q={key.requests};w={key.per_ms // 1000}'
        response.headers["RateLimit"] = f'"key";r={left};t={reset_s(metered)}'
    return response
