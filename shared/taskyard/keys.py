"""API keys: how one is made, what it may do, and how it is recognised by what is kept of it."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Literal, get_args

from taskyard.errors import TaskyardError
from taskyard.policy import limits
from taskyard.store.keys import NewKey

Scope = Literal["jobs:submit", "jobs:read", "jobs:operate", "metrics:read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
#: Every API process reads all keys every second: they stay few.
MAX_KEYS = 1000

_OURS = re.compile(r"ty_([0-9a-f]{12})_[0-9a-f]{64}")
#: What may be a key: ours, or one of an operator's own making that is long enough not to be guessed.
_ANY = re.compile(r"[A-Za-z0-9._~+/=-]{32,256}")
#: It stands in logs and in the audit log.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class InvalidKey(TaskyardError):
    """A key cannot be like this; the text has everything that is wrong."""

    code = "invalid"


class KeyNameTaken(TaskyardError):
    """There is a key of this name already."""

    code = "exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a key {name!r} already: revoke it, or choose another name")


class TooManyKeys(TaskyardError):
    """There are as many keys as there may be."""

    code = "too_many_keys"

    def __init__(self) -> None:
        super().__init__(f"there are {MAX_KEYS} keys already: forget some that are revoked")


def new_token() -> str:
    """Return a new key: an id to recognise it by, and 256 random bits."""
    return f"ty_{secrets.token_hex(6)}_{secrets.token_hex(32)}"


def is_token(text: str) -> bool:
    """Return whether `text` can be a key at all."""
    return _ANY.fullmatch(text) is not None


def is_generated(token: str) -> bool:
    """Return whether a key has the form of ours, with a secret that nobody can guess."""
    return _OURS.fullmatch(token) is not None


def token_id(token: str) -> str:
    """Return the id of a key: the part of ours that is no secret, of others some of their digest."""
    ours = _OURS.fullmatch(token)
    return ours[1] if ours else digest(token)[:12]


def digest(token: str) -> str:
    """Return what is kept of a key; it is random enough that nothing slow or salted is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_key(
    token: str,
    *,
    name: str,
    scopes: Sequence[str],
    tasks: Sequence[str] = (),
    queues: Sequence[str] = (),
    rate: str | None = None,
) -> NewKey:
    """Return what is kept of the key `token`.

    Args:
        token: The key.
        name: What people call it.
        scopes: What it may do; at least one.
        tasks: The tasks that it is bound to; none: all.
        queues: The queues that it is bound to; none: all.
        rate: Requests within a time, such as `100/m`; None: any number.

    Raises:
        InvalidKey: With everything that is wrong.
    """
    faults = _faults(name, scopes, is_bound=bool(tasks or queues))
    try:
        limit = limits.limits(None, rate)
    except ValueError as error:
        limit = limits.limits(None, None)
        faults.append(str(error))
    if faults:
        raise InvalidKey("; ".join(faults))
    return NewKey(
        id=token_id(token),
        name=name,
        digest=digest(token),
        scopes=tuple(dict.fromkeys(scopes)),
        tasks=tuple(dict.fromkeys(tasks)),
        queues=tuple(dict.fromkeys(queues)),
        requests=limit.starts,
        per_ms=limit.per_ms,
    )


def _faults(name: str, scopes: Sequence[str], *, is_bound: bool) -> list[str]:
    faults = []
    if not _NAME.fullmatch(name):
        faults.append(
            f"name {name!r}: must be 1 to 64 letters, digits or ._- and begin with a letter or digit"
        )
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        faults.append(f"no scope {', '.join(map(repr, unknown))}; there are {', '.join(SCOPES)}")
    if not scopes:
        faults.append(f"a key needs a scope: {', '.join(SCOPES)}")
    if is_bound and "admin" in scopes:
        faults.append("an admin key cannot be bound to tasks or queues")
    return faults
