"""The order in which servers and services come up and go down."""

import time

from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.leftovers import end_leftovers
from taskyard.local_servers.ports import LOOPBACK, is_free
from taskyard.local_servers.process import Process
from taskyard.local_servers.programs import RABBITMQ_PACKAGE, REDIS_PACKAGE
from taskyard.local_servers.rabbit_server import RabbitServer
from taskyard.local_servers.redis_server import RedisServer
from tools.install_packages import (
    ensure_installed,
)
from tools.run.addresses import greeting, write_env_file
from tools.run.console import Console
from tools.run.given_servers import check_answering, lines
from tools.run.kept_ports import KeptPorts
from tools.run.service import Service
from tools.run.settings import RunSettings
from tools.run.stop_requests import StopRequests

ENV_FILE = ".run/env"
WATCH_INTERVAL_S = 0.2
SERVICE_GRACE_S = 10.0


class Stack:
    """The servers and services of one run, and the addresses at which others reach them."""

    def __init__(self, settings: RunSettings, *, console: Console, stops: StopRequests) -> None:
        """Take what the run depends on; nothing is started yet."""
        self._settings = settings
        self._console = console
        self._stops = stops
        self._started: list[Process] = []
        self._addresses: dict[str, str] = {}
        self._env_file = settings.checkout / ENV_FILE
        self._ports = KeptPorts(settings.ports_file)

    def start(self) -> None:
        """Start everything; return once all of it is ready and the user was told.

        Raises:
            LocalServerError: If a program is missing, the port taken, a process not ready, or a server of the
                user does not answer.
            StopRequested: If the user asked to stop meanwhile.
        """
        began = time.monotonic()
        self._env_file.unlink(missing_ok=True)  # an earlier run's, if that was killed
        self._check_api_port()
        self._look_for_given_servers()
        self._start_servers()
        self._start_services()
        write_env_file(self._env_file, {**self._addresses, **self._settings.shared})
        self._greet(time.monotonic() - began)

    def watch(self) -> None:
        """Watch over the processes; this ends only by one of the two errors.

        Raises:
            LocalServerError: If a process ended on its own.
            StopRequested: If the user asked to stop.
        """
        while True:
            self._stops.raise_if_any()
            for process in self._started:
                if not process.is_running:
                    raise LocalServerError(f"{process.obituary()}\nThe rest was stopped.")
            time.sleep(WATCH_INTERVAL_S)

    def stop(self) -> None:
        """Stop everything, the last started first; return once no process is left. Safe twice."""
        self._env_file.unlink(missing_ok=True)
        while self._started:
            process = self._started.pop()
            self._console.say(f"Stopping {process.name}")
            process.stop(self._stops.is_hurried)
        end_leftovers(self._settings.folder)

    def _check_api_port(self) -> None:
        host, port = self._settings.api_host, self._settings.api_port
        if not is_free(port, host):
            raise LocalServerError(
                f"The API cannot listen on port {port} of {host}: it is taken.\n"
                "Stop what listens there, or choose another port: API_PORT=8000 make run"
            )

    def _look_for_given_servers(self) -> None:
        """Say which servers the user has brought; without them the services would only retry for ever."""
        check_answering(self._settings.given_addresses)
        for line in lines(self._settings.given_addresses):
            self._console.say(line)

    def _start_servers(self) -> None:
        """Start the servers that the user has not brought."""
        servers: list[Process] = []
        folder = self._settings.folder
        self._addresses.update(self._settings.given_addresses)
        if not self._settings.has_broker:
            ensure_installed([RABBITMQ_PACKAGE])
            rabbit = RabbitServer(folder, port_of=self._port_of)
            self._addresses["BROKER_URL"] = rabbit.url
            self._addresses["RABBITMQ_MANAGEMENT_URL"] = rabbit.management_url
            servers.append(rabbit)
        if not self._settings.has_store:
            ensure_installed([REDIS_PACKAGE])
            redis = RedisServer(folder, port_of=self._port_of)
            self._addresses["RESULT_BACKEND"] = redis.url
            servers.append(redis)
        self._bring_up(*servers)

    def _start_services(self) -> None:
        settings = self._settings
        port_of = self._port_of
        worker = self._service("worker", port=port_of("worker"), grace_s=settings.worker_grace_s)
        scheduler = self._service("scheduler", port=port_of("scheduler"))
        api = self._service("api", host=settings.api_host, port=settings.api_port)
        self._addresses["API_URL"] = api.url
        self._addresses["WORKER_METRICS_URL"] = worker.metrics_url
        self._addresses["SCHEDULER_METRICS_URL"] = scheduler.metrics_url
        # The worker writes the catalogue of tasks that the API reads.
        self._bring_up(worker)
        self._bring_up(scheduler, api)

    def _service(
        self,
        name: str,
        *,
        port: int,
        host: str = LOOPBACK,
        grace_s: float = SERVICE_GRACE_S,
    ) -> Service:
        return Service(
            name,
            stack=self._settings.folder,
            env={**self._addresses, "LOG_FORMAT": self._console.log_format},
            host=host,
            port=port,
            checkout=self._settings.checkout,
            on_line=self._console.lines_of(name),
            grace_s=grace_s,
        )

    def _port_of(self, use: str) -> int:
        """Return the port that it had before, or else say so."""
        port = self._ports.choose(use)
        while self._ports.moved:
            what, old, new = self._ports.moved.pop()
            self._console.say(
                f"Port {old} is taken: {what} is on port {new} from now on, "
                f"and terminals that have sourced {ENV_FILE} before must do so again"
            )
        return port

    def _bring_up(self, *processes: Process) -> None:
        """Start the processes side by side; return once each is ready."""
        for process in processes:
            self._console.say(f"Starting {process.name}")
            self._started.append(process)
            process.start()
        for process in processes:
            process.wait_ready(self._stops.raise_if_any)

    def _greet(self, seconds: float) -> None:
        self._console.say(greeting(self._addresses, env_file=ENV_FILE, seconds=seconds))
