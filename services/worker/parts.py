"""What a child is made of, and how its parts are put together."""

from collections import Counter
from collections.abc import Callable

from services.worker.attempts import measures
from services.worker.attempts.dead_letters import PendingDeadLetters
from services.worker.attempts.engine import Engine
from services.worker.attempts.executor import Executor
from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.running import RunningAttempt
from services.worker.attempts.settler import Settler
from services.worker.attempts.watch import Retire, Watch
from services.worker.consuming.consumer import Consumer
from services.worker.consuming.room import Room
from services.worker.consuming.source import Source
from services.worker.consuming.suspects import Suspects
from services.worker.dramatiq_bridge.slots import Slots
from services.worker.modules import load_tasks
from taskyard.config import Settings
from taskyard.message import MESSAGE_SLACK_BYTES
from taskyard.rabbitmq.publisher import Publisher
from taskyard.store import open_store


class Parts:
    """The parts of one child, none of them started.

    Args:
        settings: The worker's settings.
        owner: Id of the child's lease.
        is_lone: Suspects are its source, and no queue.
        retire: Called when a task does not stop.
        is_store_away: Tells whether the store has been silent for so long that others are to have the jobs.

    Raises:
        ConfigurationError: If the task modules are unusable.
    """

    def __init__(
        self,
        settings: Settings,
        owner: str,
        *,
        is_lone: bool,
        retire: Retire,
        is_store_away: Callable[[], bool],
    ) -> None:
        self.tasks = load_tasks(settings.task_modules)
        measures.allow_labels(self.tasks)
        own_queues = {task.options.queue for task in self.tasks.values()}
        self.queues = sorted(settings.worker_queues or own_queues)
        self.store = open_store(settings)
        self.publisher = Publisher(
            settings.broker_url,
            queue_type=settings.queue_type,
            name=f"worker {owner} dead letters",
            tls=settings.tls,
        )
        self.dead_letters = PendingDeadLetters(
            self.publisher,
            self.store,
            deadline_s=settings.publish_deadline_s,
            on_waiting=self._look_for_room,
        )
        self.registry = AttemptRegistry()
        self.consumer: Consumer | None = None
        self.lone: Suspects | None = None
        self.source: Source
        if is_lone:
            self.source = self.lone = Suspects(
                self.store,
                self.queues,
                on_arrival=self._wake,
                is_busy=lambda: self.registry.unsettled_count > 0,
            )
        else:
            self.source = self.consumer = Consumer(
                settings.broker_url,
                self.queues,
                prefetch=settings.worker_threads,
                publisher=self.publisher,
                deadline_s=settings.publish_deadline_s,
                queue_type=settings.queue_type,
                on_arrival=self._wake,
                name=f"worker {owner}",
                whole_max_bytes=settings.dead_letter_max_bytes,
                slots_bytes=settings.worker_threads
                * (settings.payload_max_bytes + MESSAGE_SLACK_BYTES),
                tls=settings.tls,
            )
        self.slots = Slots(
            self.tasks,
            threads=settings.worker_threads,
            report=lambda attempt, progress: self.watch.report(attempt, progress),
            result_max_bytes=settings.result_max_bytes,
            finished=self._finished,
        )
        self.settler = Settler(
            registry=self.registry,
            dead_letters=self.dead_letters,
            tasks=self.tasks,
            settings=settings,
            owner=owner,
            wake=self._wake,
        )
        self.executor = Executor(
            store=self.store,
            consumer=self.source,
            dead_letters=self.dead_letters,
            tasks=self.tasks,
            settings=settings,
            owner=owner,
            slots=self.slots,
            registry=self.registry,
            settler=self.settler,
            wake=self._wake,
        )
        self.engine = Engine(self.executor, self.slots, settings)
        self.room: Room | None = None
        if self.consumer is not None:
            self.room = Room(
                consumer=self.consumer,
                registry=self.registry,
                settler=self.settler,
                isolation=self.executor.isolation,
                dead_letters=self.dead_letters,
                slots=settings.worker_threads,
                queues=self.queues,
                is_store_away=is_store_away,
            )
        self.watch = Watch(
            self.registry,
            self.settler,
            self.store,
            settings,
            owner,
            over=lambda: self.executor.over,
            retire=retire,
        )

    def start(self) -> None:
        """Start the parts that run attempts; the source comes last, by `source.start`."""
        self.dead_letters.start()
        self.slots.start()
        self.engine.start()

    def waiting_by_queue(self) -> dict[str, int]:
        """Return how many deliveries are here that are no attempts, or on their way back, by queue."""
        going_back = self.consumer.going_back() if self.consumer is not None else {}
        return Counter(self.executor.isolation.waiting_by_queue()) + Counter(going_back)

    def _wake(self) -> None:
        self.engine.wake()

    def _finished(self, attempt: RunningAttempt) -> None:
        self.executor.decide(attempt)
        if self.room is not None:
            self.room.freed()

    def _look_for_room(self) -> None:
        if self.room is not None:
            self.room.wake()
