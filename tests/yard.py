"""A yard: a corner of the test servers with workers, a scheduler and a client."""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pika
import psutil
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from taskyard import config
from taskyard.client import Client
from taskyard.job import TERMINAL, Job
from taskyard.job_handle import JobHandle
from taskyard.local_servers import RabbitServer, RedisServer
from taskyard.message import new_id
from taskyard.rabbitmq.connect_once import blocking
from taskyard.rabbitmq.topology import dead_queue
from taskyard.request import parse
from taskyard.task import Task
from tests import worker_tasks as tasks
from tests.events import FOLDER, Event, read_events
from tests.polling import poll
from tools.run.service import Service

CHECKOUT = Path(__file__).parents[1]

#: Short times, so that tests need not wait.
ENV = {
    "TASK_MODULES": "tests.worker_tasks",
    "WORKER_PROCESSES": "1",
    "WORKER_THREADS": "2",
    "LEASE_S": "10",
    "HEARTBEAT_S": "0.2",
    "RETRY_MIN_S": "0.02",
    "RETRY_MAX_S": "0.1",
    "HARD_LIMIT_GRACE_S": "0.5",
    "SHUTDOWN_GRACE": "5",
    "RELAY_AFTER_S": "1",
    "UNKNOWN_TASK_TTL": "3",
    "LOG_FORMAT": "json",
}


def metric(service: Service, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    with urllib.request.urlopen(service.metrics_url, timeout=30) as answer:
        text = answer.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


class Worker(Service):
    """A worker process with its children."""

    def children(self) -> list[psutil.Process]:
        """Return the processes of the children that live."""
        try:
            children = psutil.Process(self.pid).children()
            return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def problems(self) -> list[str]:
        """Return what `/readyz` complains of."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=30) as answer:
                return list(json.load(answer)["problems"])
        except urllib.error.HTTPError as error:
            with error:
                return list(json.load(error)["problems"])
        except OSError as error:
            return [f"no answer: {error}"]

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        return metric(self, name, **labels)


class Yard:
    """Where the processes of one test, or of one module, meet.

    Args:
        rabbit: RabbitMQ, which tests may stop if they leave it running.
        redis_server: Redis, likewise.
        folder: Where events and gates are.
        env: Settings for all processes, over those of `ENV`.
    """

    def __init__(
        self, rabbit: RabbitServer, redis_server: RedisServer, folder: Path, **env: str
    ) -> None:
        name = uuid.uuid4().hex[:12]
        self.rabbit = rabbit
        self.redis = redis_server
        self.folder = folder
        self.queue = f"test-{name}"
        #: What the services have written.
        self.lines: list[str] = []
        self.queues = [tasks.QUEUE, self.queue]
        self.env = {
            **ENV,
            "BROKER_URL": rabbit.url,
            "RESULT_BACKEND": redis_server.url,
            "KEY_PREFIX": f"test-{name}:",
            FOLDER: str(folder),
            **env,
        }
        known = {name.lower(): value for name, value in self.env.items()}
        self.settings = config.load(**{n: known[n] for n in config.FIELDS if n in known})
        self.client = Client(self.settings)
        self.store = self.client.store

    def close(self) -> None:
        """Remove what is left on the servers."""
        self.client.close()
        with self.channel() as channel:
            for queue in self.queues:
                channel.queue_delete(queue)
                channel.queue_delete(dead_queue(queue))
        self.empty_store()

    def empty_store(self) -> None:
        """Remove all that the store knows of this yard."""
        with redis.Redis.from_url(self.settings.result_backend) as server:
            keys = list(server.scan_iter(f"{self.settings.key_prefix}*", count=10_000))
            for start in range(0, len(keys), 10_000):
                server.delete(*keys[start : start + 10_000])

    # Processes

    @contextmanager
    def running(self, *services: Service) -> Iterator[None]:
        """Run services, started side by side; those that still run are killed at the end."""
        try:
            for service in services:
                service.start()
            for service in services:
                service.wait_ready()
            yield
        finally:
            for service in services:
                service.kill()

    def worker(self, **env: str) -> Worker:
        """Return a worker that is not started yet; by default it has one child with two slots."""
        return self.service(Worker, "worker", {"WORKER_QUEUES": ",".join(self.queues), **env})

    def scheduler(self, **env: str) -> Service:
        """Return a scheduler that is not started yet."""
        return self.service(Service, "scheduler", env)

    def api(self, **env: str) -> Service:
        """Return an API that is not started yet."""
        return self.service(Service, "api", env)

    def service(self, kind: Callable[..., Any], name: str, env: dict[str, str]) -> Any:
        """Return a service of this yard that is not started yet, made by `kind`."""
        env = {**self.env, **env}
        return kind(
            name, stack=self.folder, env=env, checkout=CHECKOUT, on_line=self._heard, grace_s=20
        )

    def _heard(self, line: str) -> None:
        # Not to what a test has put in the place of standard output, to see what a command prints.
        print(line, file=sys.__stdout__, flush=True)
        self.lines.append(line)

    def logged(self, **facts: Any) -> list[dict[str, Any]]:
        """Return the lines of JSON that services have logged so far and that have these facts."""
        lines = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [line for line in lines if facts.items() <= line.items()]

    # Jobs

    def submit(self, task: Task[..., Any], *args: Any, **fields: Any) -> JobHandle:
        """Hand one job over to this yard's queue; `fields` are those of a submission."""
        request = parse({"task": task.name, "args": list(args), "queue": self.queue, **fields})
        return self.client.submit(task.options, request)

    def submit_many(self, task: Task[..., Any], count: int, *args: Any, **fields: Any) -> list[str]:
        """Hand over so many equal jobs at once; return their ids."""
        asked = {"task": task.name, "args": list(args), "queue": self.queue, **fields}
        jobs = [self.client.prepare(task.options, parse(asked)) for _ in range(count)]
        for start in range(0, count, 500):
            self.client.dispatcher.dispatch(jobs[start : start + 500])
        return [job.id for job in jobs]

    def job(self, job_id: str) -> Job | None:
        """Return a job, or None if the store does not know it."""
        return self.store.get([job_id])[0]

    def ended(self, job_id: str, timeout_s: float = 30.0) -> Job:
        """Return a job once it has ended."""
        job = poll(lambda: self._if_ended(job_id), timeout_s)
        assert job is not None
        return job

    def job_in(self, state: str, job_id: str) -> Job | None:
        """Return a job if it is in this state."""
        job = self.job(job_id)
        return job if job is not None and job.state == state else None

    def _if_ended(self, job_id: str) -> Job | None:
        job = self.job(job_id)
        return job if job is not None and job.state in TERMINAL else None

    def states(self, ids: list[str]) -> Counter[str]:
        """Return how many of the jobs are in which state; `missing` for those without a record."""
        found: Counter[str] = Counter()
        for start in range(0, len(ids), 500):
            jobs = self.store.get(ids[start : start + 500])
            found.update("missing" if job is None else job.state.value for job in jobs)
        return found

    # Messages

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Give a channel of the test's own."""
        with blocking(self.settings.broker_url, name="test", tls=self.settings.tls) as connection:
            yield connection.channel()

    def publish(self, body: bytes, **properties: Any) -> None:
        """Publish a message straight to the queue, as a stranger would."""
        with self.channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(
                "", self.queue, body, pika.BasicProperties(**properties), mandatory=True
            )

    def body(self, task: str, *args: Any, **fields: Any) -> bytes:
        """Return a message's body as another Dramatiq producer would write it; `fields` win."""
        envelope = {
            "queue_name": self.queue,
            "actor_name": task,
            "args": args,
            "kwargs": {},
            "options": {},
            "message_id": new_id(),
            "message_timestamp": round(time.time() * 1000),
        }
        return json.dumps({**envelope, **fields}).encode()

    def ready_messages(self, queue: str | None = None) -> int:
        """Return how many messages wait in a queue."""
        with self.channel() as channel:
            declared = channel.queue_declare(queue or self.queue, passive=True)
            return int(declared.method.message_count)

    def dead_messages(self) -> int:
        """Return how many dead letters wait in the queue's."""
        return self.ready_messages(dead_queue(self.queue))

    def come_to_rest(self) -> None:
        """Return when whatever is in the queue now has been claimed, skipped or buried."""
        self.submit(tasks.add, 0, priority=0).get(timeout=30)

    def dead_letter(self, queue: str | None = None, timeout_s: float = 30.0) -> Any:
        """Take the first dead letter of a queue, waiting for it; return its properties and body."""
        with self.channel() as channel:

            def take() -> Any:
                method, properties, body = channel.basic_get(dead_queue(queue or self.queue), True)
                return None if method is None else (properties, body)

            return poll(take, timeout_s)

    def forget_dead_letters(self) -> None:
        """Empty the dead-letter queue, if it is there."""
        with self.channel() as channel, suppress(pika.exceptions.ChannelClosedByBroker):
            channel.queue_purge(dead_queue(self.queue))

    # Events and gates

    def events(self, what: str | None = None, job_id: str | None = None) -> list[Event]:
        """Return what tasks told so far, in the order of its happening."""
        told = read_events(self.folder)
        return [e for e in told if what in (None, e.what) and job_id in (None, e.job_id)]

    def await_event(self, what: str, job_id: str, timeout_s: float = 30.0) -> Event:
        """Return the last such event of a job, waiting for the first."""
        return poll(lambda: self.events(what, job_id), timeout_s)[-1]

    def new_gate(self) -> str:
        """Return the name of a gate that is closed, until the end of the test at most."""
        gate = f"gate-{uuid.uuid4().hex[:8]}"
        _closed_gates.add(self.folder / gate)
        return gate

    def open(self, gate: str) -> None:
        """Open a gate."""
        _closed_gates.discard(self.folder / gate)
        (self.folder / gate).touch()


_closed_gates: set[Path] = set()


@pytest.fixture(autouse=True)
def _open_gates() -> Iterator[None]:
    """A test that fails must not leave jobs that hold the slots of the tests after it."""
    yield
    for gate in _closed_gates:
        if gate.parent.is_dir():
            gate.touch()
    _closed_gates.clear()


def kill_broker(rabbit: RabbitServer) -> None:
    """Kill RabbitMQ, as `kill -9` does.

    Messages are flushed before their confirm, but 3.10 writes the definition of a new queue some time later:
    of one that is seconds old, nothing would be left to look for.
    """
    rabbit.control("eval", "catch mnesia:sync_log().")
    rabbit.kill()


def kill(pid: int) -> None:
    """End a process as `kill -9` does."""
    os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def make_yard(rabbit, redis_server, tmp_path_factory) -> Iterator[Callable[..., Yard]]:
    """A function that makes a yard, with settings of its own; it is removed after the module's last test."""
    made: list[Yard] = []

    def make(**env: str) -> Yard:
        made.append(Yard(rabbit, redis_server, tmp_path_factory.mktemp("yard"), **env))
        return made[-1]

    yield make
    for yard in made:
        yard.close()
