"""A child process of the stack: how it is started, watched, read and ended."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.leftovers import MARK, has_living_members
from taskyard.local_servers.output import ProcessOutput, discard
from taskyard.local_servers.waiting import POLL_INTERVAL_S, never, nothing, wait_for

# Killed processes end at once, unless they hang in a disk's or a network's driver.
GROUP_TIMEOUT_S = 5.0


class Process:
    """A child in a session of its own, so that Ctrl-C in the terminal reaches the runner only.

    Subclasses say in `is_ready` when it can be used. As a context manager it is ready inside the
    block and gone after it.
    """

    ready_timeout_s = 30.0

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stack: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] = discard,
        grace_s: float = 10.0,
        is_private: bool = False,
    ) -> None:
        """Describe the process; nothing runs yet.

        Args:
            stack: The stack's folder; it marks the process as one of that stack.
            env: Variables on top of this process's own.
            on_line: Called with each line of output, in another thread.
            grace_s: How long the process may take to stop before it is killed.
            is_private: Whether no other user may read the files that it makes.
        """
        self.name = name
        self.argv = list(argv)
        self.env = {**(env or {}), MARK: str(stack.resolve())}
        self.cwd = cwd
        self.grace_s = grace_s
        self._umask = 0o077 if is_private else -1
        self._output = ProcessOutput(on_line)
        self._child: subprocess.Popen[str] | None = None
        self._is_gone = True

    def is_ready(self) -> bool:
        """Return whether the process can be used now."""
        return self.is_running

    def start(self) -> None:
        """Start the process and return at once."""
        self._child = subprocess.Popen(
            self.argv,
            env=self.full_env(),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            umask=self._umask,
        )
        assert self._child.stdout is not None
        self._output.follow(self._child.stdout)
        self._is_gone = False

    def full_env(self) -> dict[str, str]:
        """Return the whole environment that the process is given."""
        return {**os.environ, **self.env}

    def wait_ready(self, check: Callable[[], None] = nothing) -> None:
        """Return once the process is ready; `check` is called while waiting and may raise.

        Raises:
            LocalServerError: If it ended or was not ready within `ready_timeout_s`; with its output.
        """
        deadline = time.monotonic() + self.ready_timeout_s
        while not (self.is_running and self.is_ready()):
            check()
            if not self.is_running:
                raise LocalServerError(self.obituary())
            if time.monotonic() >= deadline:
                late = f"{self.name} was not ready after {self.ready_timeout_s:g} s"
                raise LocalServerError(late + self._output.last_lines())
            time.sleep(POLL_INTERVAL_S)

    def stop(self, is_hurried: Callable[[], bool] = never) -> None:
        """Ask the process to end, kill it after `grace_s` or when hurried; return once it is gone.

        Safe twice.
        """
        if self.is_running:
            self.resume()
            self.ask_to_end(is_hurried)
        self._end_group()

    def ask_to_end(self, is_hurried: Callable[[], bool]) -> None:
        """Ask the process to end; return once it has, or the grace is over, or all is hurried."""
        self.send(signal.SIGTERM)
        wait_for(lambda: not self.is_running, timeout_s=self.grace_s, give_up=is_hurried)

    def kill(self) -> None:
        """Return once the process and its children are gone, without asking them: `kill -9`."""
        self._end_group()

    def restart(self) -> None:
        """Stop, start again on the same ports and return once ready."""
        self.stop()
        self.start()
        self.wait_ready()

    def pause(self) -> None:
        """Freeze the process and its children: they keep their connections and answer nothing.

        A signal takes effect when the system gets to it, so wait until the process itself has stopped.
        """
        self._send_group(signal.SIGSTOP)
        with suppress(ChildProcessError):  # it has ended already
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._send_group(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, not to its children."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        """The process id, which is the id of its process group too."""
        if self._child is None:
            raise LocalServerError(f"{self.name} was never started")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def obituary(self) -> str:
        """Return one text on how the process ended, with its last lines."""
        code = self._child.returncode if self._child else None
        how = f"exited with {code}"
        if code is not None and code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        return f"{self.name} {how}{self._output.last_lines()}"

    def _end_group(self) -> None:
        if self._child is None or self._is_gone:  # the id may be another process's by now
            return
        self._send_group(signal.SIGKILL)
        self._child.wait()
        wait_for(lambda: not has_living_members(self.pid), timeout_s=GROUP_TIMEOUT_S)
        self._is_gone = True

    def _send_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
