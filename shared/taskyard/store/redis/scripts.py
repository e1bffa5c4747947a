"""What every part of the Redis store is built on: one connection, and the scripts in `lua/`."""

import hashlib
import os
import time
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskyard.errors import (
    ConfigurationError,
    Unstorable,
)
from taskyard.runtime.tls import SYSTEM_CAS, Tls
from taskyard.runtime.whereabouts import store_place

if TYPE_CHECKING:
    from prometheus_client import Histogram

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="RedisScripts")

#: Scripts that write only on request: another name for each, by which they never do.
READING_FORMS = {"view_records": "check_records"}
#: Scripts that only read: a server runs them that is full, whose disk is full, or that is a replica.
READING = frozenset(
    {
        *READING_FORMS,
        "ahead",
        "overtaking_marks",
        "oldest_overtaken",
        "oldest_published",
        "count_pending",
        "compare",
        "copies",
        "counts",
        "dead_counts",
        "dead_groups",
        "explain",
        "find",
        "find_actions",
        "find_dead",
        "held",
        "key_ring",
        "occupants",
        "overdue_dead",
        "read_schedules",
        "retry_sources",
        "suspects",
        "unconfirmed",
        "unindexed",
        "vitals",
        "workers",
    }
)
#: Scripts that write, and that a server without memory runs all the same: they free some, or need hardly any.
MAKING_ROOM = frozenset(
    {
        "end_action",
        "end_lease",
        "forget_copies",
        "forget_dead",
        "forget_keys",
        "forgive_outage",
        "heartbeat",
        "log_action",
        "mark_published",
        "prune",
        "purge_dead",
        "remove",
        "mark_replied",
        "revoke_keys",
        "take_replies",
        "use_keys",
        "withdraw",
    }
)
#: Scripts whose answers say what they have changed. Where a connection breaks before the answer comes,
#: redis-py sends them again: the answer to the first call is kept for that, or it would be "nothing".
ANSWERED_ONCE = frozenset(
    {
        "add_key",
        "cancel",
        "create",
        "forget_keys",
        "pause",
        "purge",
        "purge_dead",
        "remove",
        "remove_schedule",
        "retry",
        "revoke_keys",
        "withdraw",
        "write_schedule",
    }
)
#: What a call is tried once more after, on a new connection; never a timeout, which is a deadline. A server
#: that has become a replica took nothing of it, and the address may lead to another one by now: only who
#: connects anew comes there, for a replica ends no connection.
TRIED_AGAIN = (redis.ConnectionError, redis.ReadOnlyError, redis.exceptions.MasterDownError)
_pack = msgspec.msgpack.Encoder().encode
_decoder: Any = lru_cache(maxsize=None)(msgspec.msgpack.Decoder)


@cache
def _timer(script: str) -> "Histogram":
    """Return what measures a script.

    Looked up with its first call: no process uses all scripts, each has a series a bucket, and a command that
    reads one job is over before the library of the metrics is imported.
    """
    from taskyard.telemetry.metrics import STORE_CALL_SECONDS

    return STORE_CALL_SECONDS.labels(script)


def _packed(args: Any) -> bytes:
    try:
        return _pack(args)
    except (OverflowError, UnicodeError, ValueError, TypeError, RecursionError) as error:
        raise Unstorable(f"the store cannot take this: {error}") from error


def _shebang(name: str) -> str:
    """Return the first line of a script, which says what an ailing server may run.

    With it Redis refuses a script on such a server before its first write, so none is done by half.
    """
    if name in READING:
        return "#!lua flags=no-writes\n"
    return "#!lua flags=allow-oom\n" if name in MAKING_ROOM else "#!lua\n"


def _client(url: str, timeout_s: float, tls: Tls) -> redis.Redis:
    """Return a client, not connected.

    Raises:
        ConfigurationError: If the URL has options that redis-py does not know.
    """
    try:
        # redis-py 8 changed its default timeouts and protocol: all are given.
        client = redis.Redis.from_url(
            url,
            protocol=3,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            health_check_interval=30,
            retry=Retry(NoBackoff(), 1, supported_errors=TRIED_AGAIN),
            **(_tls_options(tls) if url.startswith("rediss:") else {}),
        )
        client.connection_pool.make_connection()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"RESULT_BACKEND=***: {error}") from None
    return client


def _tls_options(tls: Tls) -> dict[str, Any]:
    """Return what redis-py calls the certificates; it verifies certificate and host name."""
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": tls.ca_file or None,
        "ssl_certfile": tls.cert_file or None,
        "ssl_keyfile": tls.key_file or None,
    }


@cache
def _all_scripts() -> Mapping[str, tuple[str, str]]:
    """Return the digest and the text of each script, by its name; they are read once a process."""
    folder = files(__package__) / "lua"
    common = (folder / "common.lua").read_text()
    texts = {
        path.name.removesuffix(".lua"): path.read_text()
        for path in folder.iterdir()
        if path.name.endswith(".lua") and path.name != "common.lua"
    }
    texts |= {name: texts[of] for name, of in READING_FORMS.items()}
    texts = {name: _shebang(name) + common + text for name, text in texts.items()}
    return {
        name: (hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), text)
        for name, text in texts.items()
    }


class RedisScripts:
    """Runs scripts on one Redis; `RedisStore` is made of classes like this one's children.

    Args:
        url: Where Redis is.
        prefix: What every key begins with.
        timeout_s: Deadline of one answer, in seconds.
        result_ttl_s: How long an expired job is kept, in seconds.
        tls: The certificates, where `url` begins with `rediss:`.
        hint: What errors say at their end if it does not answer.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "taskyard:",
        timeout_s: float = 2.0,
        result_ttl_s: int = 86_400,
        tls: Tls = SYSTEM_CAS,
        hint: str = "",
    ) -> None:
        self.place = store_place(url)
        self.hint = hint
        self._prefix = prefix
        self._keep_ms = result_ttl_s * 1000
        self._redis = _client(url, timeout_s, tls)
        self._scripts = _all_scripts()
        #: Connections that wait for wake-up calls, by what they wait for.
        self._wake_ups: dict[str, Any] = {}

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        for calls in self._wake_ups.values():
            calls.close()
        self._redis.close()

    def run(self, name: str, args: Any, answer: type[R]) -> R:
        """Run `lua/<name>.lua` with `args` and return its answer, checked to be of type `answer`."""
        digest, text = self._scripts[name]
        packed = _packed(args)
        call = (os.urandom(12).hex(),) if name in ANSWERED_ONCE else ()
        # Not by redis-py's Script and evalsha: their wrappers cost a tenth of a worker's call.
        execute: Any = self._redis.execute_command
        started = time.perf_counter()
        try:
            raw = execute("EVALSHA", digest, 1, self._prefix, packed, *call)
        except redis.exceptions.NoScriptError:
            raw = execute("EVAL", text, 1, self._prefix, packed, *call)
        _timer(name).observe(time.perf_counter() - started)
        decoded: R = _decoder(answer).decode(raw)
        return decoded
