"""Why a request is refused before it is looked at: no key, a wrong one, or one that may not do this."""

from http import HTTPStatus
from typing import Any

from taskyard.errors import TaskyardError

REALM = 'Bearer realm="taskyard"'


class RequestRefusal(TaskyardError):
    """The request may not be made like this."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers: dict[str, str] = {}
        self.particulars: dict[str, Any] = {}


class KeyRequired(RequestRefusal):
    """There is no key with the request."""

    code = "key_required"
    status = HTTPStatus.UNAUTHORIZED

    def __init__(self) -> None:
        super().__init__("this needs an API key: send it as 'Authorization: Bearer <key>'")
        self.headers = {"WWW-Authenticate": REALM}


class KeyRefused(RequestRefusal):
    """The key of the request is none, or no longer one."""

    code = "key_refused"
    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers = {"WWW-Authenticate": f'{REALM}, error="invalid_token"'}


class WrongKey(KeyRefused):
    """There is no such key: it may be a guess."""


class TooManyWrongKeys(RequestRefusal):
    """The address of the request has sent too many wrong keys lately."""

    code = "too_many_wrong_keys"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"too many wrong API keys came from here; try again in {retry_after_s} seconds"
        )
        self.headers = {"Retry-After": str(retry_after_s)}


class ScopeMissing(RequestRefusal):
    """The key may not do such things."""

    code = "missing_scope"

    def __init__(self, name: str, scope: str) -> None:
        super().__init__(f"key {name!r} lacks the scope {scope}")
        self.headers = {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'}
        self.particulars = {"scope": scope}


class OutOfReach(RequestRefusal):
    """The key is bound to other tasks or queues.

    Args:
        detail: What it is bound to, or may not touch.
        pointer: Where in the body that is, if it is there.
    """

    code = "out_of_reach"

    def __init__(self, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(detail)
        if pointer is not None:
            fault = {"pointer": pointer, "code": self.code, "detail": detail}
            self.particulars = {"errors": [fault]}


class NotLocal(RequestRefusal):
    """A request without a key seems to come from elsewhere than this machine."""

    code = "not_local"


class RateLimited(RequestRefusal):
    """The key has made as many requests as it may for now."""

    code = "rate_limited"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, name: str, rate: str, retry_after_s: int) -> None:
        super().__init__(
            f"key {name!r} may make {rate} requests; try again in {retry_after_s} seconds"
        )
        self.headers = {"Retry-After": str(retry_after_s)}
