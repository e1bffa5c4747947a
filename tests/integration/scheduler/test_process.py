"""Whole schedulers: several at once, on time, and as processes that start and stop."""

import json
import random
import signal
import sys
import time
import urllib.request

import pytest
from msgspec.structs import replace

from services.scheduler.service import Scheduler
from taskyard.config import Settings
from taskyard.local_servers import Process
from taskyard.local_servers.ports import choose_port
from taskyard.local_servers.probes import http_status
from taskyard.store.jobs import NewJob
from tests.contract.jobs import HOUR_MS, new_job
from tests.polling import poll


def waiting_jobs(queue: str, count: int, *, delay_ms: int) -> list[NewJob]:
    return [new_job(f"{queue}-{n}", queue=queue, delay_ms=delay_ms) for n in range(count)]


def test_two_schedulers_publish_each_of_2000_due_jobs_once(settings, store, bodies, channel, queue):
    """However many schedulers there are, a job is dispatched once."""
    store.create(waiting_jobs(queue, 2000, delay_ms=100))
    # On a busy machine a confirm may take so long that `relay` would publish its message again.
    patient = replace(settings, relay_after_s=3600)
    schedulers = [Scheduler(patient) for _ in range(2)]

    for scheduler in schedulers:
        scheduler.start()
    poll(lambda: store.take_due(0)[1] is None and not outbox_size(store))
    for scheduler in schedulers:
        scheduler.stop()

    ids = [properties.message_id for properties, _ in bodies(queue)]
    assert (len(ids), len(set(ids))) == (2000, 2000)


def outbox_size(store) -> int:
    """Return how many pending jobs nobody has confirmed, without starting their time anew."""
    return len(store.unpublished(HOUR_MS, 1))


class SchedulerProcess(Process):
    """`python -m services.scheduler`."""

    def __init__(self, settings: Settings, folder, **env: str) -> None:
        self.port = choose_port()
        self.lines: list[str] = []
        values = {
            "BROKER_URL": settings.broker_url,
            "RESULT_BACKEND": settings.result_backend,
            "KEY_PREFIX": settings.key_prefix,
            "METRICS_PORT": str(self.port),
            "PYTHONPATH": ":".join(sys.path),
            **env,
        }
        super().__init__(
            "scheduler",
            [sys.executable, "-W", "error", "-m", "services.scheduler"],
            stack=folder,
            env=values,
            on_line=self.lines.append,
        )

    def is_ready(self) -> bool:
        """Return whether its readiness check answers 200."""
        return http_status(self.port, "/readyz", host="127.0.0.1") == 200

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return str(answer.read().decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_works_and_stops_when_asked(settings, store, tmp_path, bodies, queue, number):
    """Ready, publishing, telling its metrics; then gone soon, with exit code 0."""
    store.create(waiting_jobs(queue, 10, delay_ms=1))
    with SchedulerProcess(settings, tmp_path) as process:
        poll(lambda: store.take_due(0)[1] is None)
        poll(lambda: "taskyard_dispatch_lateness_seconds_count 10.0" in process.get("/metrics"))
        assert json.loads(process.get("/healthz")) == {"ok": True, "problems": []}

        asked = time.monotonic()
        process.send(number)
        poll(lambda: not process.is_running)

        assert time.monotonic() - asked < 20
        assert "exited with 0" in process.obituary()
    assert len(bodies(queue)) == 10


def test_the_process_stops_in_time_without_its_servers(settings, tmp_path):
    """It starts without RabbitMQ and the store, is alive but not ready, and stops as quickly."""
    away = replace(
        settings,
        broker_url="amqp://guest:guest@127.0.0.1:1/",
        result_backend="redis://127.0.0.1:1/0",
    )
    process = SchedulerProcess(away, tmp_path)
    process.start()
    try:
        poll(lambda: http_status(process.port, "/healthz", host="127.0.0.1") == 200)
        assert http_status(process.port, "/readyz", host="127.0.0.1") == 503

        asked = time.monotonic()
        process.send(signal.SIGTERM)
        poll(lambda: not process.is_running)

        assert time.monotonic() - asked < 20
        assert "exited with 0" in process.obituary()
    finally:
        process.kill()


def test_unusable_settings_are_told_at_once(settings, tmp_path):
    """All of them, on standard error, with exit code 2."""
    process = SchedulerProcess(settings, tmp_path, MAX_RETRIES="-1", LEASE_S="x")
    process.start()
    try:
        poll(lambda: not process.is_running)

        text = process.obituary()
        assert "exited with 2" in text
        assert "MAX_RETRIES" in text
        assert "LEASE_S" in text
    finally:
        process.kill()


def test_a_taken_port_is_told_at_once(settings, tmp_path):
    """With exit code 2 as well."""
    with SchedulerProcess(settings, tmp_path) as first:
        second = SchedulerProcess(settings, tmp_path, METRICS_PORT=str(first.port))
        second.start()
        try:
            poll(lambda: not second.is_running)
            assert "exited with 2" in second.obituary()
            assert "METRICS_PORT" in second.obituary()
        finally:
            second.kill()


def test_200_jobs_at_random_times_are_published_at_their_times(
    settings, store, dispatcher, bodies, queue
):
    """None is early, and none waits for the next look, which would be in an hour."""
    dispatcher.dispatch([new_job(queue=queue)])
    assert len(bodies(queue)) == 1, "the queue is there, and empty"
    scheduler = Scheduler(replace(settings, dispatch_interval_s=3600))
    scheduler.start()
    poll(lambda: not scheduler.unready())
    rng = random.Random(1)
    jobs = [
        new_job(f"{queue}-{n}", queue=queue, delay_ms=rng.randrange(200, 3000)) for n in range(200)
    ]
    store.create(jobs)
    due_ms = {job.id: job.run_at for job in store.get([job.id for job in jobs]) if job}

    late_ms: dict[str, float] = {}

    def watch() -> bool:
        for properties, _ in bodies(queue):
            late_ms[properties.message_id] = time.time() * 1000 - due_ms[properties.message_id]
        return len(late_ms) == len(jobs)

    poll(watch)
    scheduler.stop()

    assert min(late_ms.values()) >= 0
