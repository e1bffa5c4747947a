"""How fast jobs are handed over, recorded and confirmed: from Python, and over REST."""

import argparse
import http.client
import json
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import psutil

from benchmarks import harness, noop_tasks
from taskyard.client import Client
from taskyard.config import load
from taskyard.local_servers import Servers
from taskyard.local_servers.ports import choose_port
from taskyard.request import parse
from taskyard.task_options import TaskOptions

OPTIONS = TaskOptions(queue=noop_tasks.QUEUE)


def one_by_one(client: Client, jobs: int) -> None:
    """Hand over jobs as `.delay()` does."""
    for _ in range(jobs):
        client.submit(OPTIONS, parse({"task": "noop"}))


def in_bulk(client: Client, jobs: int) -> None:
    """Hand over jobs by 500."""
    for _ in range(jobs // 500):
        batch = [client.prepare(OPTIONS, parse({"task": "noop"})) for _ in range(500)]
        client.dispatcher.dispatch(batch)


def over_rest(url: str, jobs: int) -> None:
    """Submit jobs over one connection that is kept."""
    _post(url, "/v1/jobs", {"task": "noop"}, times=jobs)


def in_batches_over_rest(url: str, jobs: int) -> None:
    """Submit jobs by 500 over one connection that is kept."""
    _post(url, "/v1/jobs/batch", {"jobs": [{"task": "noop"}] * 500}, times=jobs // 500)


def _post(url: str, path: str, document: object, *, times: int) -> None:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    body = json.dumps(document)
    for _ in range(times):
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        if response.status != 202:
            raise RuntimeError(f"refused with {response.status}")
    connection.close()


def in_threads(count: int, work: Callable[[int], None], jobs: int) -> None:
    """Let `count` threads do `work` for their share of the jobs."""
    threads = [threading.Thread(target=work, args=(jobs // count,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def timed(work: Callable[[], None], jobs: int, cpu_s: Callable[[], float]) -> dict[str, float]:
    """Return the rate, and the CPU time for a job by the clock `cpu_s`."""
    cpu_before, before = cpu_s(), time.perf_counter()
    work()
    seconds = time.perf_counter() - before
    return {"jobs/s": jobs / seconds, "CPU µs/job": (cpu_s() - cpu_before) / jobs * 1e6}


def round_of(private: Servers, api: psutil.Process, url: str) -> dict[str, dict[str, float]]:
    """Measure each way once."""
    client = Client(load(broker_url=private.rabbit.url, result_backend=private.redis.url))
    client.submit(OPTIONS, parse({"task": "noop"}))
    me = time.process_time

    def of_api() -> float:
        return harness.cpu_s(api)

    rows = {
        "Python, .delay() one by one": timed(lambda: one_by_one(client, 3_000), 3_000, me),
        "Python, .delay() from 16 threads": timed(
            lambda: in_threads(16, lambda n: one_by_one(client, n), 8_000), 8_000, me
        ),
        "Python, batches of 500": timed(lambda: in_bulk(client, 20_000), 20_000, me),
        "REST, 1 client": timed(lambda: over_rest(url, 1_500), 1_500, of_api),
        "REST, 32 clients": timed(
            lambda: in_threads(32, lambda n: over_rest(url, n), 6_400), 6_400, of_api
        ),
        "REST, 4 clients, batches of 500": timed(
            lambda: in_threads(4, lambda n: in_batches_over_rest(url, n), 20_000), 20_000, of_api
        ),
    }
    client.close()
    return rows


def main() -> None:
    """Run all ways in turn and print the medians."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    rounds = arguments.parse_args().rounds
    with harness.servers() as private:
        port = choose_port()
        env = harness.environment(
            private, API_PORT=str(port), TASK_MODULES="benchmarks.noop_tasks", WORKER_PROCESSES="1"
        )
        url = f"http://127.0.0.1:{port}"
        with harness.process(harness.python("-m", "services.worker"), env):
            client = Client(load(broker_url=private.rabbit.url, result_backend=private.redis.url))
            harness.wait_for(lambda: bool(client.store.tasks()), timeout_s=30)
            client.close()
        with harness.process(harness.python("-m", "services.api"), env) as api:
            harness.wait_for(lambda: answers(port), timeout_s=30)
            results = [round_of(private, api, url) for _ in range(rounds)]
    table = {name: harness.medians([result[name] for result in results]) for name in results[0]}
    harness.show(f"hand over jobs, median of {rounds}; CPU of the client, or of the API", table)


def answers(port: int) -> bool:
    """Whether the API serves."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
