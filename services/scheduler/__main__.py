"""Start a scheduler: `python -m services.scheduler`. Any number of them may run."""

import logging
import sys

from prometheus_client import REGISTRY

from services.scheduler.service import Scheduler
from taskyard import __version__, config
from taskyard.config import Settings
from taskyard.errors import ConfigurationError, StoreUnavailable
from taskyard.runtime.lifecycle import stop_signal
from taskyard.telemetry import logs, tracing
from taskyard.telemetry.health import HealthServer
from taskyard.telemetry.metrics import BUILD_INFO

logger = logging.getLogger(__name__)


def main() -> int:
    """Run the scheduler until it is told to stop; return its exit code."""
    try:
        settings = config.load()
        logs.configure(settings, "scheduler")
        return run(settings)
    except ConfigurationError as error:
        print(f"taskyard scheduler: unusable settings\n{error}", file=sys.stderr)
        return 2


def run(settings: Settings) -> int:
    """Run with these settings until SIGTERM or SIGINT; return the exit code.

    Raises:
        ConfigurationError: If the port is taken, or the store would lose jobs.
    """
    stopping = stop_signal()
    BUILD_INFO.labels("scheduler", __version__).set(1)
    tracing.start("scheduler", __version__)
    scheduler = Scheduler(settings)
    try:
        _check_store(scheduler)
        health = _listen(settings, scheduler)
        health.start()
        scheduler.start()
        stopping.wait()
        logger.info("scheduler stops")
        health.stop()
    finally:
        scheduler.stop()
        tracing.stop()
    return 0


def _check_store(scheduler: Scheduler) -> None:
    try:
        for warning in scheduler.store.check():
            logger.warning("unsafe store: %s", warning)
    except StoreUnavailable as error:
        logger.warning("the store could not be checked: %s", error)


def _listen(settings: Settings, scheduler: Scheduler) -> HealthServer:
    host, port = settings.metrics_host, settings.metrics_port
    try:
        return HealthServer(
            host,
            port,
            registry=REGISTRY,
            sick=scheduler.sick,
            unready=scheduler.unready,
            hosts=settings.metrics_hosts,
        )
    except OSError as error:
        text = f"METRICS_PORT={port}: cannot listen on {host}: {error}"
        raise ConfigurationError(text) from error


if __name__ == "__main__":
    sys.exit(main())
