"""One child of the worker: everything that runs jobs, in a process of its own."""

import logging
import os
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from services.worker.attempts import measures
from services.worker.attempts.burial import Burial
from services.worker.attempts.engine import SOON_PART, Engine
from services.worker.attempts.executor import Executor
from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.running import RunningAttempt
from services.worker.attempts.settler import Settler
from services.worker.attempts.watch import PROGRESS_S, WATCH_S, Watch
from services.worker.consuming.consumer import Consumer
from services.worker.consuming.room import IDLE_S, Room
from services.worker.consuming.source import Source
from services.worker.consuming.suspects import Suspects
from services.worker.dramatiq_bridge.interrupts import notice_swallowed
from services.worker.dramatiq_bridge.slots import Slots
from services.worker.exits import EXIT_CONFIGURATION
from services.worker.modules import known, load_tasks
from taskyard import __version__, catalogue
from taskyard.client import defaults
from taskyard.config import Settings
from taskyard.errors import ConfigurationError, Unavailable, WorkerStopping
from taskyard.message import MESSAGE_SLACK_BYTES
from taskyard.policy.limits import limits
from taskyard.rabbitmq.publisher import Publisher
from taskyard.runtime.lifecycle import Loop, StopRequest
from taskyard.store import open_store
from taskyard.telemetry import tracing
from taskyard.telemetry.metrics import CHILD_MEMORY, SLOTS, SLOTS_BUSY

logger = logging.getLogger(__name__)

#: How long interrupted tasks get to end, past the grace. Seconds.
INTERRUPT_S = 2.0
#: How often the catalogue is told anew: the store may have lost it, and what nobody tells any more, as
#: after a deploy was taken back, gives way to what others tell. Seconds.
DECLARE_S = 5.0
#: How often the child tells its supervisor that it lives. Seconds.
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
        self._memory = CHILD_MEMORY.labels(str(index))
        self._pipe = pipe
        self._stopping = StopRequest()
        self._reason = ""
        self._is_impatient = False
        # Spread over the children, so that they do not all retire at once.
        spread = 1 + index / (2 * settings.worker_processes)
        self._max_jobs = round(settings.max_jobs_per_child * spread)
        self._tasks = load_tasks(settings.task_modules)
        measures.allow_labels(self._tasks)
        own_queues = {task.options.queue for task in self._tasks.values()}
        self._queues = sorted(settings.worker_queues or own_queues)
        #: What the next beat tells besides.
        self._news: dict[str, Any] = {"known": known(self._tasks, self._queues)}
        self._store = open_store(settings)
        self._publisher = Publisher(
            settings.broker_url,
            queue_type=settings.queue_type,
            name=f"worker {owner} dead letters",
            tls=settings.tls,
        )
        self._burial = Burial(
            self._publisher,
            self._store,
            deadline_s=settings.publish_deadline_s,
            on_waiting=self._look_for_room,
        )
        self._registry = AttemptRegistry()
        self._suspects_due = 0
        self._consumer: Consumer | None = None
        self._lone: Suspects | None = None
        self._source: Source
        if is_lone:
            self._source = self._lone = Suspects(
                self._store,
                self._queues,
                on_arrival=self._wake,
                is_busy=lambda: self._registry.unsettled_count > 0,
            )
        else:
            self._source = self._consumer = Consumer(
                settings.broker_url,
                self._queues,
                prefetch=settings.worker_threads,
                publisher=self._publisher,
                deadline_s=settings.publish_deadline_s,
                queue_type=settings.queue_type,
                on_arrival=self._wake,
                name=f"worker {owner}",
                whole_max_bytes=settings.dead_letter_max_bytes,
                slots_bytes=settings.worker_threads
                * (settings.payload_max_bytes + MESSAGE_SLACK_BYTES),
                tls=settings.tls,
            )
        self._slots = Slots(
            self._tasks,
            threads=settings.worker_threads,
            report=lambda attempt, progress: self._watch.report(attempt, progress),
            result_max_bytes=settings.result_max_bytes,
            finished=self._finished,
        )
        self._settler = Settler(
            registry=self._registry,
            burial=self._burial,
            tasks=self._tasks,
            settings=settings,
            owner=owner,
            wake=self._wake,
        )
        self._executor = Executor(
            store=self._store,
            consumer=self._source,
            burial=self._burial,
            tasks=self._tasks,
            settings=settings,
            owner=owner,
            slots=self._slots,
            registry=self._registry,
            settler=self._settler,
            wake=self._wake,
        )
        self._engine = Engine(self._executor, self._slots, settings)
        self._heard_at = time.monotonic()
        self._room: Room | None = None
        if self._consumer is not None:
            self._room = Room(
                consumer=self._consumer,
                registry=self._registry,
                settler=self._settler,
                isolation=self._executor.isolation,
                burial=self._burial,
                slots=settings.worker_threads,
                queues=self._queues,
                is_store_away=self._is_store_away,
            )
        self._watch = Watch(
            self._registry,
            self._settler,
            self._store,
            settings,
            owner,
            over=lambda: self._executor.over,
            retire=self.retire,
        )
        self._started_at = time.time()
        self._is_declared = False
        self._seen_rss_mib = 0.0
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
            Loop("watch", self._watch.run_once, interval_s=WATCH_S),
            Loop("progress", self._watch.send_progress, interval_s=PROGRESS_S),
            Loop("catalogue", self._declare, interval_s=DECLARE_S),
            Loop("gauges", self._measure, interval_s=settings.heartbeat_s),
            Loop("suspects", self._look_for_suspects, interval_s=settings.heartbeat_s),
        ]
        if self._room is not None:
            self._loops.append(
                Loop("room", self._room.look, interval_s=IDLE_S, await_work=self._room.await_look)
            )

    def run(self) -> None:
        """Run until SIGTERM, `retire` or the end of the supervisor."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGQUIT, self._on_sigquit)
        SLOTS.set(self._settings.worker_threads)
        self._start()
        beats = Loop(
            "beat", self._beat, interval_s=BEAT_S
        )  # in this thread, which may set signal handlers
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
        """Stop; a second one means nothing: systemd tells every process, and so does the supervisor."""
        self._stopping.set()

    def _on_sigquit(self, *_: object) -> None:
        """Stop without patience: the supervisor was asked twice."""
        self._is_impatient = True
        self._stopping.set()

    def _wake(self) -> None:
        self._engine.wake()

    def _finished(self, attempt: RunningAttempt) -> None:
        self._executor.decide(attempt)
        if self._room is not None:
            self._room.freed()

    def _look_for_room(self) -> None:
        if self._room is not None:
            self._room.wake()

    def _start(self) -> None:
        notice_swallowed()  # in front of what the task modules may have set
        self._burial.start()
        self._slots.start()
        self._engine.start()
        for loop in self._loops:
            loop.start()
        self._source.start()

    def _heartbeat(self) -> None:
        self._source.set_paused(self._watch.heartbeat(self._info()))
        self._heard_at = time.monotonic()

    def _is_store_away(self) -> bool:
        """Whether others are to have the jobs that wait here: they may know a store."""
        silent_s = time.monotonic() - self._heard_at
        # Not heard of because this process stood still: then the store is there.
        return (
            self._heartbeats.is_failing and silent_s > STORE_PATIENCE_S + self._settings.heartbeat_s
        )

    def _measure(self) -> None:
        """Tell how busy and how large the child is."""
        SLOTS_BUSY.set(self._registry.busy)
        self._seen_rss_mib = _rss_mib()
        self._memory.set(self._seen_rss_mib * 2**20)

    def _look_for_suspects(self) -> None:
        """See whether the supervisor has to start a lone child."""
        self._suspects_due = self._store.suspects(self._queues)

    def _declare(self) -> None:
        """Tell the store which tasks are known here, and their limits."""
        documents = [
            catalogue.describe(task, defaults(task.options, self._settings))
            for task in self._tasks.values()
        ]
        its_limits = {
            name: limits(task.options.concurrency, task.options.rate)
            for name, task in self._tasks.items()
        }
        self._store.declare(documents, self._queues, its_limits, lapse_s=3 * DECLARE_S)
        self._is_declared = True

    def _info(self) -> dict[str, Any]:
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "state": "stopping" if self._stopping.is_set() else "running",
            "queues": self._queues if self._lone is None else [],
            "is_lone": self._lone is not None,
            "tasks": sorted(self._tasks),
            "slots": self._settings.worker_threads,
            "busy": self._registry.busy,
            "jobs_done": self._settler.jobs_done,
            "rss_mib": round(self._seen_rss_mib, 1),
            "is_full": self._room is not None and self._room.is_full,
            "prefetched": self._waiting_by_queue(),
            "started_at": round(self._started_at * 1000),
        }

    def _waiting_by_queue(self) -> dict[str, int]:
        going_back = self._consumer.going_back() if self._consumer is not None else {}
        return Counter(self._executor.isolation.waiting_by_queue()) + Counter(going_back)

    def _beat(self) -> None:
        problems = self._source.problems()
        if not self._is_declared:
            problems.append("the store does not answer yet")
        problems += self._executor.isolation.problems() + self._burial.problems()
        problems += [f"{loop.name} fails" for loop in self._loops if loop.is_failing]
        try:
            beat = {
                "problems": problems,
                "peak_mib": _peak_mib(),
                "suspects": self._suspects_due,
                "silent": self._settler.log.silent(),
                **self._news,
            }
            self._pipe.send(beat)
            self._news = {}
        except OSError:
            self.retire("the supervisor is gone")
        settings = self._settings
        if self._max_jobs and self._settler.jobs_done >= self._max_jobs:
            self.retire(f"{self._settler.jobs_done} jobs done")
        if self._lone is not None and self._lone.idle_s > LONE_IDLE_S:
            self._reason = "nothing is to be tried alone"
            self._stopping.set()
        if settings.max_child_rss and self._seen_rss_mib > settings.max_child_rss:
            self.retire(f"{self._seen_rss_mib:.0f} MiB of memory are above MAX_CHILD_RSS")

    def _leave(self) -> None:
        self._tell(self._reason or "stopped")
        self._registry.drain()
        self._source.stop_consuming()
        self._wait(
            lambda: self._registry.undecided_count == 0 or self._is_impatient,
            self._settings.shutdown_grace,
        )
        for attempt in self._registry.unsettled():
            attempt.interrupt(WorkerStopping)
        self._wait(lambda: self._registry.undecided_count == 0, INTERRUPT_S)
        for attempt in self._registry.unsettled():
            if attempt.is_over(0):  # it runs on, in code that no interrupt reaches
                self._settler.abandon(attempt, WorkerStopping("the worker stops"))
        self._wait(lambda: self._registry.unsettled_count == 0 and not self._burial, self._flush_s)
        self._let_go()

    def _let_go(self) -> None:
        """Close each part apart: one that fails, or takes its time, is no reason to end in bad order."""
        for loop in self._loops[1:]:  # heartbeats go on as long as jobs are ours
            loop.stop(0)
        parts: list[Callable[[], object]] = [
            self._engine.stop,
            *(partial(loop.stop, timeout_s=1.0) for loop in self._loops),
            # Once more: what was never heard of is not lost, but given back.
            lambda: self._watch.heartbeat(self._info()),
            lambda: self._store.end_lease(self._owner, None),
            # These may take long where RabbitMQ does, and then the supervisor ends what is no longer ours.
            self._burial.stop,
            self._source.close,
            self._publisher.close,
            self._store.close,
        ]
        for part in parts:
            self._tell(self._reason or "stopped")
            try:
                part()
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
            self._tell(self._reason or "stopped")
            time.sleep(0.05)  # a few times a second while the process ends

    def _tell(self, leaving: str) -> None:
        try:
            self._pipe.send({"problems": [f"leaving: {leaving}"], "leaving": leaving})
        except OSError:
            return


def _rss_mib() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mib() -> int:
    """Return the most resident memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


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
