"""What a great many waiting jobs cost: lateness of those that are due, memory of scheduler and API.

The jobs are recorded straight in the store, due in a day or later. Then a few hundred become due within some
seconds, with a real scheduler, while a client lists pages over REST.
"""

import argparse
import socket
import statistics
import time
import urllib.request

import psutil

from benchmarks import harness
from taskyard.config import load
from taskyard.local_servers import Servers
from taskyard.message import Message, Options, encode, new_id
from taskyard.store import JobStore, open_store
from taskyard.store.jobs import NewJob

BATCH = 1000
DAY_MS = 86_400_000
QUEUE = "bench_waiting"
PAGES = 200
MIB = 1 << 20


def new_job(delay_ms: int) -> NewJob:
    """Return a job of usual size that is due in `delay_ms` milliseconds."""
    job_id = new_id()
    message = Message(
        queue_name=QUEUE,
        task="bench.noop",
        args=[1, 2],
        kwargs={"name": "waiting"},
        options=Options(priority=5, max_retries=3, timeout_s=600, origin="api"),
        message_id=job_id,
        message_timestamp=0,
    )
    return NewJob(
        id=job_id,
        task="bench.noop",
        queue=QUEUE,
        priority=5,
        body=encode(message),
        delay_ms=delay_ms,
    )


def record(store: JobStore, jobs: int, *, first_ms: int, spread_ms: int) -> list[str]:
    """Record jobs that are due evenly within `spread_ms` after `first_ms`; return their ids."""
    ids: list[str] = []
    for start in range(0, jobs, BATCH):
        numbers = range(start, min(start + BATCH, jobs))
        batch = [new_job(first_ms + number * spread_ms // jobs) for number in numbers]
        store.create(batch)
        ids += [job.id for job in batch]
    return ids


def list_pages(port: int, pages: int) -> list[float]:
    """Read pages of waiting jobs one after the other; return the seconds that each took."""
    took, path = [], "/v1/jobs?state=scheduled&limit=200"
    for _ in range(pages):
        started = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            answer.read()
            link = answer.headers.get("Link", "")
        took.append(time.perf_counter() - started)
        path = link.partition("<")[2].partition(">")[0]
        if not path:
            break
    return took


def lateness_ms(store: JobStore, ids: list[str], seen: dict[str, float]) -> list[float]:
    """Return how long after its time each job was seen to be pending, in milliseconds."""
    late = []
    for job in store.get(ids):
        assert job is not None
        assert job.run_at is not None
        late.append(seen[job.id] - job.run_at)
    return sorted(late)


def watch(store: JobStore, ids: list[str], timeout_s: float) -> dict[str, float]:
    """Return when each job was first seen to wait no more, in milliseconds since 1970."""
    seen: dict[str, float] = {}
    deadline = time.monotonic() + timeout_s
    while len(seen) < len(ids) and time.monotonic() < deadline:
        waiting = [job_id for job_id in ids if job_id not in seen][:100]
        now_ms = time.time() * 1000
        for job in store.get(waiting):
            if job is not None and job.state != "scheduled":
                seen[job.id] = now_ms
        time.sleep(0.002)  # the precision of what is measured; the store is asked no more often
    return seen


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def rss_mib(process: psutil.Process) -> float:
    """Return a process's memory in MiB."""
    return float(process.memory_info().rss) / MIB


def measure(private: Servers, jobs: int, due: int) -> dict[str, float]:
    """Record `jobs` and watch `due` of them become pending."""
    settings = load(broker_url=private.rabbit.url, result_backend=private.redis.url)
    store = open_store(settings)
    store.declare([], [QUEUE])
    started = time.monotonic()
    record(store, jobs, first_ms=DAY_MS, spread_ms=DAY_MS)
    recorded_s = time.monotonic() - started
    port = free_port()
    env = harness.environment(private, API_PORT=str(port))
    with (
        harness.process(harness.python("-m", "services.scheduler"), env) as scheduler,
        harness.process(harness.python("-m", "services.api"), env) as api,
    ):
        harness.wait_for(lambda: _answers(port), timeout_s=60, pause_s=0.1)
        list_pages(port, 5)
        before = rss_mib(scheduler), rss_mib(api)
        ids = record(store, due, first_ms=2_000, spread_ms=5_000)
        seen = watch(store, ids, timeout_s=60)
        late = lateness_ms(store, ids, seen)
        pages = list_pages(port, PAGES)
        after = rss_mib(scheduler), rss_mib(api)
    redis_mib = rss_mib(psutil.Process(private.redis.pid))
    store.close()
    return {
        "recorded/s": jobs / max(recorded_s, 1e-9),
        "late p50 ms": late[len(late) // 2],
        "late p99 ms": late[int(len(late) * 0.99)],
        "page p50 ms": statistics.median(pages) * 1000,
        "page max ms": max(pages) * 1000,
        "scheduler MiB": before[0],
        "… after": after[0],
        "API MiB": before[1],
        "… then": after[1],
        "Redis MiB": redis_mib,
    }


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def main() -> None:
    """Measure with few waiting jobs and with many, each on servers of its own."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=1_000_000)
    arguments.add_argument("--due", type=int, default=500)
    chosen = arguments.parse_args()
    table = {}
    for jobs in (1_000, chosen.jobs):
        with harness.servers() as private:
            table[f"{jobs:,} waiting"] = measure(private, jobs, chosen.due)
    harness.show(f"{chosen.due} jobs become due within 5 s", table)


if __name__ == "__main__":
    main()
