"""The worker's first process: keeps its children running, and records how each one ended.

It has one thread and no connections when it forks, so that children share its memory and inherit
nothing that two processes must not share.
"""

import gc
import itertools
import logging
import multiprocessing
import os
import signal
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from services.worker import child, multiprocess
from services.worker.announcer import Announcer
from services.worker.child_handle import ChildHandle
from services.worker.exits import EXIT_CONFIGURATION, EXIT_LABELS, exit_label, exit_reason
from taskyard.config import Settings
from taskyard.errors import Unavailable
from taskyard.store import open_store
from taskyard.telemetry.health import HealthServer
from taskyard.telemetry.metrics import CHILD_EXITS, begin

logger = logging.getLogger(__name__)

#: A child that is silent for this part of a lease is stuck: before its lease ends, so that its jobs are
#: told how they were lost.
STUCK_PART = 0.8
#: How long the first beat may take, with the import of the user's modules. Seconds.
START_S = 120.0
#: How often the supervisor looks after its children at least. Seconds.
LOOK_S = 0.25
#: Of a longer time without a look only this counts: the supervisor stood still itself, as in a paused
#: machine, and what the children have sent meanwhile is still to be read. Seconds.
FROZEN_S = 0.5
#: How long past its grace a stopping child may take for its last answers. Seconds.
STOP_MARGIN_S = 10.0

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_lease(settings: Settings, owner: str, reason: str, is_own_death: bool) -> bool:
    """Let a child's jobs be recovered at once, instead of when its lease runs out; False if it had none."""
    store = open_store(settings)
    try:
        return store.end_lease(owner, reason, is_own_death=is_own_death)
    except Unavailable as error:
        logger.warning("lease is left to run out: %s", error)
        return False
    finally:
        store.close()


class Supervisor:
    """Starts the children, replaces each that ends, and stops them all at the end.

    Args:
        settings: The worker's settings.
        make_server: Makes the health server, from what is sick and what is unready.
        run_child: What a child does.
        end_lease: How the jobs of a child that died are let go: from its owner, what it died of, and
            whether it died by itself, as of one of its jobs. Returns whether there were any.
    """

    def __init__(
        self,
        settings: Settings,
        make_server: Callable[[Callable[[], list[str]], Callable[[], list[str]]], HealthServer],
        run_child: Callable[[Settings, int, str, Connection, bool], None] = child.main,
        end_lease: Callable[[Settings, str, str, bool], bool] = end_lease,
    ) -> None:
        self._settings = settings
        self._run_child = run_child
        self._end_lease = end_lease
        count = settings.worker_processes
        regular = [ChildHandle(index) for index in range(count)]
        #: Where suspects are tried, beside all other work; empty while there are none.
        lone = [ChildHandle(count + index, is_lone=True) for index in range(max(1, count // 2))]
        self._handles = [*regular, *lone]
        self._server = make_server(list, self.problems)
        self._stop_asked = 0
        self._exit_code = 0
        self._announcer = Announcer(settings, self._handles)
        self._looked_at = time.monotonic()
        self._fork = multiprocessing.get_context("fork")

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit code."""
        wake = _signal_pipe(self._on_signal)
        self._announcer.begin()
        begin(CHILD_EXITS, *EXIT_LABELS)
        gc.freeze()  # the collector would touch, and so copy, memory that children share
        try:
            while not self._stop_asked:
                self._start_due()
                self._wait(wake, timeout_s=self._next_start_s())
            self._stop(wake)
            return self._exit_code
        finally:
            self._server.close()

    def problems(self) -> list[str]:
        """Return what keeps children from working; empty if all consume."""
        return [
            f"{handle.name}: {text}"
            for handle in self._handles
            if not handle.is_lone
            for text in handle.problems
        ]

    def _on_signal(self) -> None:
        self._stop_asked += 1
        for handle in self._handles:
            self._pass_on(handle)

    def _pass_on(self, handle: ChildHandle) -> None:
        """Signal a child to stop; the second request says that the grace is over."""
        number = signal.SIGTERM if self._stop_asked == 1 else signal.SIGQUIT
        # It may have ended, or be cleared away, at the very moment that the signal comes.
        with suppress(ProcessLookupError, ValueError):
            if handle.process is not None and handle.process.pid is not None:
                os.kill(handle.process.pid, number)

    def _start_due(self) -> None:
        for handle in self._to_start():
            if time.monotonic() >= handle.start_at and not self._stop_asked:
                self._start(handle)

    def _to_start(self) -> list[ChildHandle]:
        """Return the children to start: all regular ones, and as many lone ones as have work."""
        wanted = max(handle.suspects for handle in self._handles)
        wanted -= sum(handle.is_lone and handle.process is not None for handle in self._handles)
        empty = [handle for handle in self._handles if handle.process is None]
        lone = (handle for handle in empty if handle.is_lone)
        regular = [handle for handle in empty if not handle.is_lone]
        return [*regular, *itertools.islice(lone, max(0, wanted))]

    def _next_start_s(self) -> float:
        waiting = [handle.start_at for handle in self._to_start()]
        return max(0.0, min([LOOK_S, *(at - time.monotonic() for at in waiting)]))

    def _start(self, handle: ChildHandle) -> None:
        try:
            self._fork_into(handle)
        except (
            OSError
        ) as error:  # no memory, process or file is left: others go on, and this comes later
            logger.error("child cannot be started: %s", error, extra={"child": handle.index})
            handle.not_started(str(error))

    def _fork_into(self, handle: ChildHandle) -> None:
        ours, theirs = self._fork.Pipe(duplex=False)
        process = self._fork.Process(
            target=self._child, args=(handle, theirs), name=f"taskyard worker {handle.index}"
        )
        owner = f"{socket.gethostname()}:{handle.index}:{uuid.uuid4().hex[:8]}"
        handle.started(owner, process, ours)
        # Held back until the child can hear of them itself.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            theirs.close()
        if self._stop_asked:  # just before the fork
            self._pass_on(handle)

    def _child(self, handle: ChildHandle, theirs: Connection) -> None:
        """Be the child: first let go of what is the supervisor's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        self._server.close()
        for other in self._handles:
            if other.pipe is not None:
                other.pipe.close()
        multiprocess.enter_child(handle.index)
        self._run_child(self._settings, handle.index, handle.owner, theirs, handle.is_lone)

    def _wait(self, wake: int, *, timeout_s: float) -> None:
        """Handle what happens first: a beat, an end, a request for health, a signal, or nothing."""
        living = {p.process.sentinel: p for p in self._handles if p.process is not None}
        pipes = {p.pipe: p for p in self._handles if p.pipe is not None}
        timeout_s = 0.0 if self._server.is_busy else timeout_s
        for ready in wait([*living, *pipes, self._server.fileno(), wake], timeout_s):
            if ready == wake:
                os.read(wake, 1024)
            elif isinstance(ready, Connection):
                self._receive(pipes[ready])
        self._server.step()
        for handle in living.values():
            if handle.process is not None and handle.process.exitcode is not None:
                self._ended(handle)
        self._kill_stuck()

    def _receive(self, handle: ChildHandle) -> None:
        is_first_beat = not handle.has_beaten
        handle.receive()
        self._announcer.heard(handle, is_first_beat=is_first_beat and handle.has_beaten)

    def _kill_stuck(self) -> None:
        """End children whose threads all stand still, as one does that never lets go of the interpreter."""
        now = time.monotonic()
        frozen_s = max(0.0, now - self._looked_at - FROZEN_S)
        self._looked_at = now
        for handle in self._handles:
            handle.beat_at = min(now, handle.beat_at + frozen_s)
            limit_s = self._settings.lease_s * STUCK_PART if handle.has_beaten else START_S
            if handle.process is not None and now - handle.beat_at > limit_s:
                logger.error("child does not answer and is killed", extra={"child": handle.index})
                handle.kill()
                handle.beat_at = time.monotonic()

    def _ended(self, handle: ChildHandle) -> None:
        assert handle.process is not None
        code = handle.process.exitcode
        while handle.pipe is not None and handle.pipe.poll():
            self._receive(handle)
        reason = exit_reason(code, handle.leaving, has_left=handle.has_left)
        CHILD_EXITS.labels(exit_label(code, handle.leaving, has_left=handle.has_left)).inc()
        # Stopped before it could hear of it: a child that has begun to run handles the signal.
        is_unborn = self._stop_asked and code == -signal.SIGTERM and not handle.has_beaten
        level = logging.INFO if code == 0 and handle.has_left else logging.ERROR
        if is_unborn or handle.fault:  # which is logged once, below
            level = logging.DEBUG
        facts = {"child": handle.index, "owner": handle.owner}
        logger.log(level, "child ended: %s", reason, extra=facts)
        had_jobs = False
        if not handle.has_left and not is_unborn:
            # The store takes the two apart again for the history of the attempts.
            peak = f", peak memory {handle.peak_mib} MiB" if handle.peak_mib else ""
            is_own_death = self._is_own_death(handle)
            had_jobs = self._end_lease(self._settings, handle.owner, reason + peak, is_own_death)
        self._announcer.fault(handle.fault)
        if code == EXIT_CONFIGURATION and handle.has_left and not self._announcer.has_served:
            self._exit_code = code  # nothing has ever worked: a person has to mend the settings
            if not self._stop_asked:  # by the first of them: twice would mean without patience
                self._on_signal()
        handle.process.close()
        if handle.pipe is not None:
            handle.pipe.close()
        handle.process = handle.pipe = None
        handle.suspects = 0
        multiprocess.ended(handle.index)
        handle.problems = [f"ended: {reason}"]
        handle.start_at = time.monotonic() + handle.restart_pause_s(code, had_jobs=had_jobs)

    def _is_own_death(self, handle: ChildHandle) -> bool:
        """Whether one of its jobs may be what ended a child: nobody else is known to have done it."""
        assert handle.process is not None
        # What stops a whole machine or container kills its processes one by one.
        is_killed_in_a_stop = self._stop_asked and handle.process.exitcode == -signal.SIGKILL
        return not handle.is_killed and not is_killed_in_a_stop

    def _stop(self, wake: int) -> None:
        deadline = time.monotonic() + self._settings.shutdown_grace + STOP_MARGIN_S
        while any(handle.process is not None for handle in self._handles):
            if time.monotonic() > deadline:
                for handle in self._handles:
                    handle.kill()
            self._wait(wake, timeout_s=0.5)


def _signal_pipe(on_signal: Callable[[], None]) -> int:
    """Handle SIGTERM and SIGINT, and return what becomes readable with each."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: on_signal())
    return reader
