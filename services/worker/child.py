"""One child of the worker: how it starts, lives and leaves, in a process of its own."""

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from msgspec.structs import replace

from services.worker.attempts.engine import SOON_PART
from services.worker.attempts.watch import PROGRESS_S, WATCH_S
from services.worker.consuming.room import IDLE_S
from services.worker.dramatiq_bridge.interrupts import notice_swallowed
from services.worker.exits import EXIT_CONFIGURATION
from services.worker.parts import Parts
from services.worker.report import DECLARE_S, Report
from taskyard import __version__
from taskyard.config import Settings
from taskyard.errors import ConfigurationError, Unavailable, WorkerStopping
from taskyard.runtime.lifecycle import Loop, StopRequest
from taskyard.telemetry import tracing

logger = logging.getLogger(__name__)

#: How long interrupted tasks get to end, past the grace. Seconds.
INTERRUPT_S = 2.0
#: How often the child sends a beat to its supervisor. Seconds.
BEAT_S = 0.5
#: How long the store may be silent, on top of a heartbeat's interval, until the jobs that wait here go back
#: to their queues. Seconds.
STORE_PATIENCE_S = 3.0
#: How long a lone child waits for the next suspect: longer than most are put off after a crash. Seconds.
LONE_IDLE_S = 10.0


class Child:
    """Loads the tasks, connects, runs jobs until it is told to stop, and leaves in good order.

    Args:
        settings: The worker's settings.
        index: Which of the worker's children it is.
        owner: Id of this child's lease, unique to this start.
        pipe: To the supervisor: what is sent is a beat; its end means that the supervisor is gone.
        is_lone: It tries suspects alone, one at a time, and consumes no queue.
    """

    def __init__(
        self,
        settings: Settings,
        index: int,
        owner: str,
        pipe: Connection,
        *,
        is_lone: bool,
    ) -> None:
        if is_lone:
            settings = replace(settings, worker_threads=1)
        self._settings = settings
        self._owner = owner
        self._pipe = pipe
        self._stopping = StopRequest()
        self._reason = ""
        self._is_impatient = False
        # Spread over the children, so that they do not all retire at once.
        spread = 1 + index / (2 * settings.worker_processes)
        self._max_jobs = round(settings.max_jobs_per_child * spread)
        self._parts = Parts(
            settings, owner, is_lone=is_lone, retire=self.retire, is_store_away=self._is_store_away
        )
        self._report = Report(settings, index, self._parts, self._stopping.is_set)
        #: What the next beat says besides, once.
        self._news: dict[str, Any] = {"task_facts": self._report.tasks()}
        self._heard_at = time.monotonic()
        # The heartbeat has a loop of its own, with nothing in it that a full or ailing server refuses: it is
        # what keeps the running jobs ours.
        self._heartbeats = Loop(
            "heartbeat",
            self._heartbeat,
            interval_s=settings.heartbeat_s,
            max_pause_s=settings.lease_s * SOON_PART,
        )
        self._loops = [
            self._heartbeats,
            Loop("watch", self._parts.watch.run_once, interval_s=WATCH_S),
            Loop("progress", self._parts.watch.send_progress, interval_s=PROGRESS_S),
            Loop("catalogue", self._report.declare, interval_s=DECLARE_S),
            Loop("gauges", self._report.measure, interval_s=settings.heartbeat_s),
            Loop("suspects", self._report.look_for_suspects, interval_s=settings.heartbeat_s),
        ]
        if self._parts.room is not None:
            self._loops.append(
                Loop(
                    "room",
                    self._parts.room.look,
                    interval_s=IDLE_S,
                    await_work=self._parts.room.await_look,
                )
            )

    def run(self) -> None:
        """Run until SIGTERM, `retire` or the end of the supervisor."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGQUIT, self._on_sigquit)
        self._start()
        # In this thread, which may set signal handlers.
        beats = Loop("beat", self._beat, interval_s=BEAT_S)
        while not self._stopping.wait(BEAT_S):
            beats.pass_once()  # a failure of it must not end the jobs here; a silent child is replaced
        self._leave()

    def retire(self, reason: str) -> None:
        """End in good order, to be replaced."""
        if not self._stopping.is_set():
            logger.warning("child retires: %s", reason)
            self._reason = reason
            self._stopping.set()

    def _on_sigterm(self, *_: object) -> None:
        """Stop; a second one means nothing: systemd signals every process, and so does the supervisor."""
        self._stopping.set()

    def _on_sigquit(self, *_: object) -> None:
        """Stop without patience: the supervisor was signalled twice."""
        self._is_impatient = True
        self._stopping.set()

    def _start(self) -> None:
        notice_swallowed()  # in front of what the task modules may have set
        self._parts.start()
        for loop in self._loops:
            loop.start()
        self._parts.source.start()

    def _heartbeat(self) -> None:
        self._parts.source.set_paused(self._parts.watch.heartbeat(self._report.info()))
        self._heard_at = time.monotonic()

    def _is_store_away(self) -> bool:
        """Whether the jobs that wait here go back to their queues: other workers may reach the store."""
        silent_s = time.monotonic() - self._heard_at
        # Silence alone is not enough: this process may have stood still, and the store is there.
        return (
            self._heartbeats.is_failing and silent_s > STORE_PATIENCE_S + self._settings.heartbeat_s
        )

    def _beat(self) -> None:
        beat = self._report.beat()
        beat["problems"] += [f"{loop.name} fails" for loop in self._loops if loop.is_failing]
        try:
            self._pipe.send(beat | self._news)
            self._news = {}
        except OSError:
            self.retire("the supervisor is gone")
        settings = self._settings
        if self._max_jobs and self._parts.settler.jobs_done >= self._max_jobs:
            self.retire(f"{self._parts.settler.jobs_done} jobs done")
        if self._parts.lone is not None and self._parts.lone.idle_s > LONE_IDLE_S:
            self._reason = "nothing is to be tried alone"
            self._stopping.set()
        if settings.max_child_rss and self._report.rss_mib > settings.max_child_rss:
            self.retire(f"{self._report.rss_mib:.0f} MiB of memory are above MAX_CHILD_RSS")

    def _leave(self) -> None:
        self._say_leaving()
        self._parts.registry.drain()
        self._parts.source.stop_consuming()
        self._wait(
            lambda: self._parts.registry.undecided_count == 0 or self._is_impatient,
            self._settings.shutdown_grace,
        )
        for attempt in self._parts.registry.unsettled():
            attempt.interrupt(WorkerStopping)
        self._wait(lambda: self._parts.registry.undecided_count == 0, INTERRUPT_S)
        for attempt in self._parts.registry.unsettled():
            if attempt.is_over(0):  # it runs on, in code that no interrupt reaches
                self._parts.settler.abandon(attempt, WorkerStopping("the worker stops"))
        self._wait(
            lambda: self._parts.registry.unsettled_count == 0 and not self._parts.dead_letters,
            self._flush_s,
        )
        self._let_go()

    def _let_go(self) -> None:
        """Close each part apart: one that fails, or takes its time, is no reason to end in bad order."""
        for loop in self._loops[1:]:  # heartbeats go on as long as jobs are ours
            loop.stop(0)
        steps: list[Callable[[], object]] = [
            self._parts.engine.stop,
            *(partial(loop.stop, timeout_s=1.0) for loop in self._loops),
            # Once more: what was never heard of is not lost, but given back.
            lambda: self._parts.watch.heartbeat(self._report.info()),
            lambda: self._parts.store.end_lease(self._owner, None),
            # These may take long where RabbitMQ does, and then the supervisor ends what is no longer ours.
            self._parts.dead_letters.stop,
            self._parts.source.close,
            self._parts.publisher.close,
            self._parts.store.close,
        ]
        for step in steps:
            self._say_leaving()
            try:
                step()
            except Unavailable as error:
                logger.warning("worker is not signed off: %s", error)
            except Exception:
                logger.exception("worker does not leave in good order")

    @property
    def _flush_s(self) -> float:
        return self._settings.store_timeout_s + self._settings.publish_deadline_s

    def _wait(self, is_done: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_done() and time.monotonic() < deadline:
            self._say_leaving()
            time.sleep(0.05)  # a few times a second while the process ends

    def _say_leaving(self) -> None:
        leaving = self._reason or "stopped"
        try:
            self._pipe.send({"problems": [f"leaving: {leaving}"], "leaving": leaving})
        except OSError:
            return


def _say_farewell(pipe: Connection, **facts: str) -> None:
    """Tell the supervisor that this end is in good order: any other, with whatever code, is a death."""
    with suppress(OSError):
        pipe.send({"problems": ["gone"], "has_left": True, **facts})


def main(settings: Settings, index: int, owner: str, pipe: Connection, is_lone: bool) -> None:
    """Be a child; the process's entry point after the fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    code = 1
    try:
        tracing.start("worker", __version__)
        Child(settings, index, owner, pipe, is_lone=is_lone).run()
        code = 0
        _say_farewell(pipe)
    except ConfigurationError as error:
        logger.debug("child cannot start", exc_info=True)
        code = EXIT_CONFIGURATION
        _say_farewell(pipe, fault=str(error))  # all may meet it: the supervisor logs it once
    except Exception:
        logger.exception("child failed")
    finally:
        tracing.stop()
        logging.shutdown()
        os._exit(code)  # threads that hang in foreign code must not keep it
