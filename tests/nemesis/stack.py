"""The system that faults are thrown at: two workers, two schedulers and two APIs, on two servers.

One worker and one API reach the servers through links that can be broken.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pika
import psutil
import redis

from taskyard import config
from taskyard.client import Client
from taskyard.local_servers import RabbitServer, RedisServer
from taskyard.rabbitmq.connect_once import greeting
from taskyard.runtime.tls import SYSTEM_CAS
from tests.events import FOLDER
from tests.nemesis import tasks
from tests.nemesis.links import Links
from tests.nemesis.witness import Watch, Witness, children, is_alive
from tests.polling import poll
from tests.yard import CHECKOUT, Worker
from tools.run.service import Service

ENV = {
    "TASK_MODULES": tasks.__name__,
    "WORKER_PROCESSES": "2",
    "WORKER_THREADS": "4",
    "API_THREADS": "16",
    "SHUTDOWN_GRACE": "10",
    "LOG_FORMAT": "json",
}
#: Services that reach the servers through links, which are called `worker1-redis` and so on.
BEHIND_LINKS = ("worker1", "api2")
COMMAND = "from taskyard.cli import main; main()"


class Stack:
    """All processes, and what is known of them.

    Args:
        rabbit: RabbitMQ, which runs.
        redis_server: Redis, which runs.
        folder: For logs and what tasks tell.
        env: Settings for all services, over those of `ENV`.
    """

    def __init__(
        self, rabbit: RabbitServer, redis_server: RedisServer, folder: Path, **env: str
    ) -> None:
        self.rabbit = rabbit
        self.redis = redis_server
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "no-schedules.toml").touch()
        self.env = {
            **ENV,
            "BROKER_URL": rabbit.url,
            "RESULT_BACKEND": redis_server.url,
            "SCHEDULES_FILE": str(folder / "no-schedules.toml"),
            FOLDER: str(folder),
            **env,
        }
        known = {name.lower(): value for name, value in self.env.items()}
        fields = config.FIELDS
        self.settings = config.load(**{name: known[name] for name in fields if name in known})
        self.witness = Witness(self.settings.lease_s)
        self.watch = Watch(self.witness)
        self.links = Links()
        self.client = Client(self.settings)
        self.replies = f"reply.{tasks.QUEUE}"
        self.workers: list[Worker] = []
        self.schedulers: list[Service] = []
        self.apis: list[Service] = []

    @property
    def services(self) -> dict[str, Service]:
        """All services by name."""
        kinds: dict[str, Sequence[Service]] = {
            "worker": self.workers,
            "scheduler": self.schedulers,
            "api": self.apis,
        }
        return {
            f"{kind}{number}": service
            for kind, services in kinds.items()
            for number, service in enumerate(services, 1)
        }

    def start(self) -> None:
        """Return once every service is ready, and every queue is there for good."""
        self.links.start()
        with pika.BlockingConnection(pika.URLParameters(self.rabbit.url)) as connection:
            connection.channel().queue_declare(self.replies, durable=True)
        self.workers += [self._service(Worker, "worker", number) for number in (1, 2)]
        self.schedulers += [self._service(Service, "scheduler", number) for number in (1, 2)]
        self.apis += [self._service(Service, "api", number) for number in (1, 2)]
        for service in self.services.values():
            service.start()
        for service in self.services.values():
            service.wait_ready()
        poll(lambda: self.client.store.tasks())
        self.watch.start()
        for worker in self.workers:
            self.watch.follow(self.name_of(worker), worker.pid)

    def stop(self) -> None:
        """Return once no service runs; the servers go on."""
        for service in self.services.values():
            service.kill()
        self.watch.stop()
        self.links.stop()
        self.client.close()

    def empty(self) -> None:
        """Remove all that this stack has left on the servers."""
        with pika.BlockingConnection(pika.URLParameters(self.rabbit.url)) as connection:
            channel = connection.channel()
            for queue in (tasks.QUEUE, tasks.LIMITED_QUEUE):
                channel.queue_delete(queue)
                channel.queue_delete(f"{queue}.dead")
            channel.queue_delete(self.replies)
        with redis.Redis.from_url(self.settings.result_backend) as server:
            keys = list(server.scan_iter(f"{self.settings.key_prefix}*", count=10_000))
            if keys:
                server.delete(*keys)

    def name_of(self, service: Service) -> str:
        """Return a service's name with its number."""
        return next(name for name, each in self.services.items() if each is service)

    # What faults do

    def launch(self, service: Service) -> None:
        """Start a service that has ended; return at once."""
        service.start()
        if service in self.workers:
            self.watch.follow(self.name_of(service), service.pid)

    def shoot(self, service: Service) -> None:
        """Kill a service's own process, and leave its children to themselves."""
        service.send(signal.SIGKILL)
        poll(lambda: not service.is_running)

    def children(self, *services: Service) -> list[int]:
        """Return the ids of the children of services that live, the oldest of each first."""
        return [pid for each in services for pid in children(each.pid) if is_alive(pid)]

    def tool(self, *arguments: str) -> tuple[int, str]:
        """Run the command line as an operator would; return its exit code and what it wrote."""
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            env={**os.environ, **self.env},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, (done.stdout + done.stderr).strip()

    def memory_mib(self) -> dict[str, int]:
        """Return how much memory each service and its children have now."""
        found = {}
        for name, service in self.services.items():
            pids = [service.pid, *self.children(service)]
            found[name] = round(sum(_resident_bytes(pid) for pid in pids) / 2**20)
        return found

    def versions(self) -> dict[str, str]:
        """Return the versions of the servers, by their own word."""
        rabbit = greeting(self.rabbit.url, name="faults", tls=SYSTEM_CAS).properties["version"]
        with redis.Redis.from_url(self.settings.result_backend) as server:
            return {"RabbitMQ": str(rabbit), "Redis": str(server.info("server")["redis_version"])}

    def _service(self, kind: type[Service], name: str, number: int) -> Any:
        env = {**self.env, **self._through_links(f"{name}{number}")}
        log = partial(write_line, self.folder / f"{name}{number}.log")
        return kind(name, stack=self.folder, env=env, checkout=CHECKOUT, on_line=log, grace_s=20)

    def _through_links(self, name: str) -> dict[str, str]:
        """Return the addresses that a service reaches the servers at, if not their own."""
        if name not in BEHIND_LINKS:
            return {}
        rabbit = self.links.open(f"{name}-rabbit", self.rabbit.port)
        store = self.links.open(f"{name}-redis", self.redis.port)
        return {
            "BROKER_URL": self.rabbit.url.replace(f":{self.rabbit.port}/", f":{rabbit}/"),
            "RESULT_BACKEND": self.redis.url.replace(f":{self.redis.port}/", f":{store}/"),
        }


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def write_line(path: Path, line: str) -> None:
    """Add a line to a log."""
    with path.open("a") as file:
        file.write(line + "\n")
