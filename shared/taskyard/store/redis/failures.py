"""What Redis' refusals and silence mean, as errors of ours."""

import re
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

import redis

from taskyard.errors import StoreFault, StoreUnavailable, TaskyardError, Unstorable
from taskyard.runtime.tls import refusal

if TYPE_CHECKING:
    from prometheus_client import Counter

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="_Located")

#: What is about the data wherever it comes from; redis-py has words before it for one of many commands.
_ABOUT_DATA = re.compile(r"(^|caused error: )(WRONGTYPE |Protocol error: invalid bulk length)")
#: How Redis names the line of a script that failed …
_IN_SCRIPT = re.compile(r"on @user_script:\d+\.?$")
#: … for a reason of its own all the same: rights that are missing, a command that was renamed, a hand that
#: stopped it, or whatever begins with a word in capitals (BUSY, MISCONF, NOREPLICAS).
_SERVERS_OWN = re.compile(
    r"[A-Z]{3,} |The user executing the script|Unknown Redis command|"
    r"This Redis command is not allowed|Script killed"
)


class _Located(Protocol):
    """What an error says of the store: where it is, and a hint at its end."""

    place: str
    hint: str


def guarded(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], R]:
    """Raise what Redis cannot do now as `StoreUnavailable`, and what it cannot do at all as other errors."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse, OSError) as error:
            _failures("no_answer").inc()
            why = refusal(error) or str(error).rstrip(".")
            text = f"the store at {self.place} does not answer: {why}{self.hint}"
            raise StoreUnavailable(text) from error
        except redis.RedisError as error:
            _failures("refused").inc()
            raise _failure(error, self.place) from error

    return call


def fault(text: str) -> StoreFault:
    """Return that a script met damaged data, in Redis' own words."""
    return StoreFault(f"the store failed at this: {text}")


def _failure(error: redis.RedisError, place: str) -> TaskyardError:
    """Return what an error answer means: that a script failed at its data, or else that Redis cannot now.

    Whatever is not known to be about the data of one call is not: a server that is busy, full, read-only,
    alone, locked or misconfigured may be mended, and nothing is wrong with the call.
    """
    # Of a command that a server does not know, it quotes what came with it.
    text = str(error).partition(", with args beginning with")[0]
    if isinstance(error, redis.DataError):
        return Unstorable(f"the store cannot take this: {text}")
    is_plain = type(error) is redis.ResponseError  # one with a class of its own is about the server
    is_about_data = _ABOUT_DATA.search(text) or (
        _IN_SCRIPT.search(text) and not _SERVERS_OWN.match(text)
    )
    if is_plain and is_about_data:
        return fault(text)
    return StoreUnavailable(f"the store at {place} refuses: {text}")


def _failures(kind: str) -> "Counter":
    from taskyard.telemetry.metrics import STORE_FAILURES

    return STORE_FAILURES.labels(kind)
