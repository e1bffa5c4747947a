"""How late 10,000 jobs start that are due at the same second, with one scheduler and with three.

A worker of two processes with 32 slots each waits for them. Lateness is the start of the task, as it reads
the clock itself, after the time that the job asked for. CPU time is that of all processes of a kind, from the
end of the submissions to the last start.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import harness, noop_tasks
from taskyard.client import Client
from taskyard.config import load
from taskyard.local_servers import Servers
from taskyard.request import parse
from taskyard.task_options import TaskOptions

SCHEDULERS = (1, 3)
WORKER = {
    "TASK_MODULES": "benchmarks.noop_tasks",
    "WORKER_PROCESSES": "2",
    "WORKER_THREADS": "32",
}
#: Until the jobs are due: the servers are quiet again by then. Seconds.
AHEAD_S = 2.0


def submit(client: Client, jobs: int, due_at: float) -> None:
    """Hand over jobs that are all due at this time."""
    options = TaskOptions(queue=noop_tasks.QUEUE)
    run_at = datetime.fromtimestamp(due_at, UTC).isoformat()
    request = parse({"task": "note_start", "run_at": run_at})
    for start in range(0, jobs, 500):
        batch = min(500, jobs - start)
        client.dispatcher.dispatch([client.prepare(options, request) for _ in range(batch)])


def measure(private: Servers, schedulers: int, jobs: int) -> dict[str, float]:
    """Start everything, let the jobs become due, and return how late they began.

    Raises:
        RuntimeError: If a job ran twice.
    """
    client = Client(load(broker_url=private.rabbit.url, result_backend=private.redis.url))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        env = harness.environment(private, BENCH_FOLDER=folder, **WORKER)
        worker = stack.enter_context(harness.process(harness.python("-m", "services.worker"), env))
        scheduler = harness.python("-m", "services.scheduler")
        trees = [stack.enter_context(harness.process(scheduler, env)) for _ in range(schedulers)]
        harness.wait_for(lambda: _are_alive(client), timeout_s=30)
        before = sum(map(_rss_mib, trees))
        due_at = float(round(time.time() + AHEAD_S + jobs / 4_000))
        submit(client, jobs, due_at)
        watched = {
            "scheduler": trees,
            "worker": [worker],
            "broker": [psutil.Process(private.rabbit.pid)],
            "store": [psutil.Process(private.redis.pid)],
        }
        cpu_before = _cpu_s(watched)
        starts = Path(folder)
        harness.wait_for(lambda: _lines(starts) >= jobs, timeout_s=120, pause_s=0.1)
        cpu_s = {name: used - cpu_before[name] for name, used in _cpu_s(watched).items()}
        grown = sum(map(_rss_mib, trees)) - before
        late = _lateness(starts, due_at)
    client.close()
    if len(late) != jobs:
        raise RuntimeError(f"{len(late)} starts of {jobs} jobs")
    cuts = statistics.quantiles(late, n=100)
    return {
        "p50 ms": cuts[49] * 1000,
        "p99 ms": cuts[98] * 1000,
        "last ms": max(late) * 1000,
        "grown MiB": grown,
        **{f"{name} µs/job": used / jobs * 1e6 for name, used in cpu_s.items()},
    }


def _are_alive(client: Client) -> bool:
    return sum(worker["is_alive"] for worker in client.store.workers()) >= 2


def _rss_mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


def _cpu_s(watched: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {name: sum(map(harness.cpu_s, trees)) for name, trees in watched.items()}


def _lines(folder: Path) -> int:
    return sum(path.stat().st_size // noop_tasks.START_BYTES for path in folder.glob("starts-*"))


def _lateness(folder: Path, due_at: float) -> list[float]:
    """Return the lateness of each job, in seconds; one that ran twice is an error."""
    rows = [
        line.split() for path in folder.glob("starts-*") for line in path.read_text().splitlines()
    ]
    if len({job_id for _, job_id in rows}) != len(rows):
        raise RuntimeError("a job ran twice")
    return [float(at) - due_at for at, _ in rows]


def main() -> None:
    """Run the rounds in turn and print the medians."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    rows: dict[int, list[dict[str, float]]] = {count: [] for count in SCHEDULERS}
    with harness.servers() as private:
        for _ in range(chosen.rounds):
            for count in SCHEDULERS:
                rows[count].append(measure(private, count, chosen.jobs))
    table = {f"{count} schedulers": harness.medians(its_rows) for count, its_rows in rows.items()}
    harness.show(f"{chosen.jobs} jobs due at one second, median of {chosen.rounds}", table)


if __name__ == "__main__":
    main()
