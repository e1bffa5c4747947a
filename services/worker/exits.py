"""How a child has ended: in words for people, and as a label for Prometheus."""

import signal

#: Exit code of a child whose settings or task modules are unusable.
EXIT_CONFIGURATION = 2
#: What a child's end is counted as from the start; other signals are rare.
EXIT_LABELS = (
    "stopped",
    "retired",
    "configuration",
    "error",
    *("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGKILL", "SIGSEGV", "SIGTERM"),
)


def exit_reason(code: int | None, leaving: str, *, has_left: bool) -> str:
    """Return in words how a child ended.

    Args:
        code: Its exit code, below 0 for a signal.
        leaving: Why it was about to end, as it said; empty if nothing.
        has_left: It said at last that it leaves in good order: a task may end its process with any code.
    """
    if code is not None and code < 0:
        return f"killed by {_signal_name(-code)}"
    return (leaving or "stopped") if code == 0 and has_left else f"exit code {code}"


def exit_label(code: int | None, leaving: str, *, has_left: bool) -> str:
    """Return what the end is counted as, of the same facts."""
    if code is not None and code < 0:
        return _signal_name(-code)
    if not has_left:
        return "error"
    if code == 0:
        return "stopped" if leaving in ("", "stopped") else "retired"
    return "configuration" if code == EXIT_CONFIGURATION else "error"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # one of the real-time signals, which have no names
