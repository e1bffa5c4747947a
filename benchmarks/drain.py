"""How fast a full queue of no-op jobs is worked off, beside a tuned Dramatiq worker without state.

Two processes of eight slots each. The first and the last job of a queue write down their time.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dramatiq
import psutil
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks import harness, noop_tasks
from taskyard.client import Client
from taskyard.config import load
from taskyard.local_servers import Servers
from taskyard.request import parse
from taskyard.task_options import TaskOptions

Fill = Callable[[Servers, int], None]


def fill_taskyard(private: Servers, jobs: int, *, task: str = "noop") -> None:
    """Hand over the jobs in batches, as a program with many would."""
    client = Client(load(broker_url=private.rabbit.url, result_backend=private.redis.url))
    options = TaskOptions(queue=noop_tasks.QUEUE)

    def prepare(task: str, *args: str) -> object:
        return client.prepare(options, parse({"task": task, "args": list(args)}))

    client.dispatcher.dispatch([prepare("stamp", "first")])
    for start in range(0, jobs, 500):
        client.dispatcher.dispatch([prepare(task) for _ in range(min(500, jobs - start))])
    client.dispatcher.dispatch([prepare("stamp", "last")])
    client.close()


def fill_dramatiq(private: Servers, jobs: int) -> None:
    """Enqueue the jobs with Dramatiq's own broker."""
    broker = RabbitmqBroker(url=private.rabbit.url)

    def send(actor: str, *args: str) -> None:
        message = dramatiq.Message("bench_dramatiq", actor, args, {}, {})
        broker.enqueue(message)

    send("stamp", "first")
    for _ in range(jobs):
        send("noop")
    send("stamp", "last")
    broker.close()


CONTENDERS: dict[str, tuple[Fill, list[str], dict[str, str]]] = {
    "taskyard": (
        fill_taskyard,
        harness.python("-m", "services.worker"),
        {"TASK_MODULES": "benchmarks.noop_tasks", "WORKER_PROCESSES": "2", "WORKER_THREADS": "8"},
    ),
    "taskyard, with a limit": (
        partial(fill_taskyard, task="limited_noop"),
        harness.python("-m", "services.worker"),
        {"TASK_MODULES": "benchmarks.noop_tasks", "WORKER_PROCESSES": "2", "WORKER_THREADS": "8"},
    ),
    "dramatiq, no state, prefetch 256": (
        fill_dramatiq,
        harness.python(
            "-m", "dramatiq", "benchmarks.noop_actors", "--processes", "2", "--threads", "8"
        ),
        {"dramatiq_queue_prefetch": "256"},
    ),
}


def drain(private: Servers, contender: str, jobs: int) -> dict[str, float]:
    """Fill a queue, start a worker, and return what working it off took."""
    fill, argv, extra = CONTENDERS[contender]
    fill(private, jobs)
    watched = {
        "broker": psutil.Process(private.rabbit.pid),
        "store": psutil.Process(private.redis.pid),
    }
    with tempfile.TemporaryDirectory() as folder:
        first, last = Path(folder) / "first", Path(folder) / "last"
        env = harness.environment(private, BENCH_FOLDER=folder, **extra)
        with harness.process(argv, env) as worker:
            watched["worker"] = worker
            harness.wait_for(first.exists, timeout_s=60)
            before = {name: harness.cpu_s(tree) for name, tree in watched.items()}
            harness.wait_for(last.exists, timeout_s=300)
            used = {name: harness.cpu_s(tree) - before[name] for name, tree in watched.items()}
            seconds = float(last.read_text()) - float(first.read_text())
    return {"jobs/s": jobs / seconds, **{f"{k} µs/job": v / jobs * 1e6 for k, v in used.items()}}


def main() -> None:
    """Run the contenders in turn and print the medians."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    with harness.servers() as private:
        for _ in range(chosen.rounds):
            for contender in CONTENDERS:
                rows[contender].append(drain(private, contender, chosen.jobs))
    table = {name: harness.medians(its_rows) for name, its_rows in rows.items()}
    harness.show(f"drain {chosen.jobs} no-op jobs, median of {chosen.rounds}", table)
    ours, limited, theirs = (row["jobs/s"] for row in table.values())
    print(f"ratio with a limit / without: {limited / ours:.2f}")
    print(f"ratio taskyard / dramatiq: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
