"""W3C Trace Context: which trace a job belongs to, whether or not anybody records traces."""

import re
from hashlib import blake2b

#: RFC: version, trace id, parent's span id, flags; a later version may have more behind them.
_TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})"
    r"-(?P<trace_id>(?!0{32})[0-9a-f]{32})"
    r"-(?P<span_id>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


def valid(traceparent: object) -> str | None:
    """Return `traceparent` as version 00 has it; None if it is none, which is never an error."""
    if not isinstance(traceparent, str):
        return None
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return f"00-{found['trace_id']}-{found['span_id']}-{found['flags']}"


def trace_id(traceparent: object, job_id: str) -> str:
    """Return the trace of a job: that of its `traceparent`, else one that follows from its id.

    So every job has one, all its attempts have the same, and none has to be made or kept.
    """
    given = valid(traceparent)
    # Hashed, since samplers take the bits of a trace id for random, and those of an id need not be.
    return given[3:35] if given else blake2b(job_id.encode(), digest_size=16).hexdigest()
