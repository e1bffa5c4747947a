"""Every error as problem+json (RFC 9457): the one table of which error has which HTTP status."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from services.api.auth.errors import (
    KeyRefused,
    KeyRequired,
    NotLocal,
    OutOfReach,
    RateLimited,
    RequestRefusal,
    ScopeMissing,
    TooManyWrongKeys,
)
from services.api.http.errors import InvalidParameter, InvalidParameters, TooManyStreams
from services.api.http.replies import reply
from services.api.http.request_log import request_id
from services.api.openapi.describe import PROBLEM_TYPE
from taskyard.errors import (
    DeadLetterNotFound,
    InTheWay,
    InvalidSubmission,
    JobNotFound,
    KeyReused,
    MessageTooLarge,
    NotFound,
    NotUnique,
    QueueMismatch,
    ReplayNotFound,
    ScheduleDeclared,
    ScheduleExists,
    ScheduleNotFound,
    StoreFault,
    TaskyardError,
    TooEarly,
    TooLate,
    Unavailable,
    Unstorable,
    VersionMismatch,
    public_text,
)

logger = logging.getLogger(__name__)

#: The status of each error and of those that descend from it. Any other is an internal error.
STATUS: Mapping[type[TaskyardError], HTTPStatus] = {
    InvalidSubmission: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidParameter: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidParameters: HTTPStatus.UNPROCESSABLE_ENTITY,
    JobNotFound: HTTPStatus.NOT_FOUND,
    NotFound: HTTPStatus.NOT_FOUND,
    KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooEarly: HTTPStatus.CONFLICT,
    DeadLetterNotFound: HTTPStatus.NOT_FOUND,
    ReplayNotFound: HTTPStatus.NOT_FOUND,
    TooLate: HTTPStatus.CONFLICT,
    NotUnique: HTTPStatus.CONFLICT,
    InTheWay: HTTPStatus.CONFLICT,
    ScheduleNotFound: HTTPStatus.NOT_FOUND,
    ScheduleExists: HTTPStatus.CONFLICT,
    ScheduleDeclared: HTTPStatus.CONFLICT,
    VersionMismatch: HTTPStatus.PRECONDITION_FAILED,
    TooManyStreams: HTTPStatus.SERVICE_UNAVAILABLE,
    KeyRequired: KeyRequired.status,
    KeyRefused: KeyRefused.status,
    ScopeMissing: ScopeMissing.status,
    OutOfReach: OutOfReach.status,
    NotLocal: NotLocal.status,
    RateLimited: RateLimited.status,
    TooManyWrongKeys: TooManyWrongKeys.status,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    MessageTooLarge: HTTPStatus.INTERNAL_SERVER_ERROR,
    QueueMismatch: HTTPStatus.INTERNAL_SERVER_ERROR,
    StoreFault: HTTPStatus.INTERNAL_SERVER_ERROR,
    Unstorable: HTTPStatus.UNPROCESSABLE_ENTITY,
}
#: What a path or a request as such can be refused for, by status.
HTTP_CODES = {
    400: "bad_request",
    404: "unknown_path",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


def install(app: Flask) -> None:
    """Have `app` answer every error with a problem."""
    app.register_error_handler(TaskyardError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: TaskyardError) -> HTTPStatus | None:
    """Return the HTTP status of `error`; None for an internal error."""
    if isinstance(error, InvalidSubmission) and any(f.code == "too_large" for f in error.faults):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return None


def _ours(error: TaskyardError) -> Response:
    status = status_of(error)
    if status is None:
        return _unexpected(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("request failed: %s", error)
    return _problem(status, error.code, public_text(error), _particulars(error), _headers(error))


def _headers(error: TaskyardError) -> Mapping[str, str]:
    if isinstance(error, RequestRefusal):
        return error.headers
    return {"Retry-After": str(error.retry_after_s)} if isinstance(error, Unavailable) else {}


def _particulars(error: TaskyardError) -> dict[str, Any]:
    if isinstance(error, RequestRefusal):
        return error.particulars
    if isinstance(error, InvalidSubmission):
        return {"errors": [msgspec.to_builtins(fault) for fault in error.faults]}
    if isinstance(error, InvalidParameter):
        fault = {"parameter": error.parameter, "code": error.code, "detail": error.detail}
        return {"errors": [fault]}
    if isinstance(error, InvalidParameters):
        named = (
            {"parameter": each.pointer, "code": each.code, "detail": each.detail}
            for each in error.faults
        )
        return {"errors": list(named)}
    if isinstance(error, (TooEarly, TooLate)):
        return {"state": error.state}
    if isinstance(error, NotUnique):
        return {"job_id": error.holder}
    return {"taken": list(error.taken)} if error.taken else {}


def _http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    headers = {name: text for name, text in error.get_headers() if name != "Content-Type"}
    return _problem(status, HTTP_CODES.get(status, "error"), _explain(error), {}, headers)


def _explain(error: HTTPException) -> str:
    if error.code == HTTPStatus.NOT_FOUND:
        return f"there is nothing at {request.path}; GET / lists what there is"
    if error.code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not possible here; the Allow header lists what is"
    return error.description or "the request was refused"


def _unexpected(error: Exception) -> Response:
    logger.error("request failed", exc_info=error)
    detail = "internal error; the log has the details under this request_id"
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail, {}, {})


def _problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    particulars: Mapping[str, Any],
    headers: Mapping[str, str],
) -> Response:
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        **particulars,
        "request_id": request_id(),
    }
    return reply(document, status.value, headers=headers, content_type=PROBLEM_TYPE)
