"""An exception on its way into a running task, and whether it has arrived there or was lost."""

import ctypes
import sys
from collections.abc import Callable

from dramatiq.threading import Interrupt

from taskyard.errors import JobInterrupt


class Raised:
    """A `reason` that has been raised in a thread, once; it hits at the thread's next Python instruction.

    Where that instruction is decides what comes of it. In a task's own code it goes up until a handler
    catches it. What is raised in `__del__`, or in a callback of the garbage collector, of a weak reference or
    of `ctypes`, nobody could catch: Python gives it to `sys.unraisablehook`. And some C code just clears it,
    such as the destructor of a file that is written in Python (up to Python 3.12).

    So each has a class of its own, which Dramatiq too takes for an interrupt. The references to that class
    tell where it is: the thread that it is pending in has one, and so has the exception on its way and for as
    long as anybody keeps it. When the last is gone, it has arrived if a handler had it, and else it is lost.

    That the exception was made says nothing: Python 3.12 and later make it when it is raised, 3.11 when a
    handler or the hook gets it, or at once where another exception is being handled.
    """

    def __init__(self, reason: type[JobInterrupt], thread_id: int) -> None:
        self._thread_id = thread_id
        self._was_caught = False
        self._was_swallowed = False
        self._exception: type[JobInterrupt] = type(
            reason.__name__,
            (reason, Interrupt),
            {
                "__module__": reason.__module__,
                "__doc__": reason.__doc__,
                "__del__": lambda exception: self._on_end(exception),
                "raised": self,
            },
        )
        self._own_references = self._references()
        set_async_exception(thread_id, self._exception)

    def take_back(self) -> None:
        """Let it not hit any more, if it has not yet."""
        set_async_exception(self._thread_id, None)

    def swallowed(self) -> None:
        """Take note that Python could give it to no handler."""
        self._was_swallowed = True

    @property
    def is_lost(self) -> bool:
        """Whether it is neither pending nor on its way any more, and no handler has caught it."""
        if self._was_swallowed:
            return True
        return not self._was_caught and self._references() == self._own_references

    def _references(self) -> int:
        return sys.getrefcount(self._exception)

    def _on_end(self, exception: JobInterrupt) -> None:
        """Look at the frame that it came to last: one that has gone on from there has caught it."""
        last = exception.__traceback__
        if last is not None and last.tb_frame.f_lasti != last.tb_lasti:
            self._was_caught = True  # for good: who has caught it may make others of its class


def notice_swallowed() -> None:
    """Learn from now on of interrupts that Python can give to no handler; all else is told as before.

    This hook runs in the task's thread at any moment, so it takes no lock and raises nothing itself: what
    it raised would hit the hook.
    """
    previous: Callable[[sys.UnraisableHookArgs], object] = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        raised = getattr(unraisable.exc_type, "raised", None)
        if isinstance(raised, Raised):
            raised.swallowed()
        else:
            previous(unraisable)

    sys.unraisablehook = hook


def set_async_exception(thread_id: int, exception: type[BaseException] | None) -> None:
    """Raise an exception in a thread, in place of one that is pending there; None takes that back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), None if exception is None else ctypes.py_object(exception)
    )
