"""Start a worker: `python -m services.worker`."""

import sys
from collections.abc import Callable

from services.worker import multiprocess

_metrics_folder = multiprocess.prepare()  # before the imports below make the metrics

from services.worker.supervisor import Supervisor  # noqa: E402 - see above
from taskyard import __version__, config  # noqa: E402 - see above
from taskyard.errors import ConfigurationError  # noqa: E402 - see above
from taskyard.telemetry import logs  # noqa: E402 - see above
from taskyard.telemetry.health import HealthServer  # noqa: E402 - see above
from taskyard.telemetry.metrics import BUILD_INFO  # noqa: E402 - see above

Problems = Callable[[], list[str]]


def main() -> int:
    """Run the worker until it is told to stop; return its exit code."""
    try:
        settings = config.load()
    except ConfigurationError as error:
        print(f"taskyard worker: unusable settings\n{error}", file=sys.stderr)
        return 2
    logs.configure(settings, "worker")
    BUILD_INFO.labels("worker", __version__).set(1)

    def make_server(sick: Problems, unready: Problems) -> HealthServer:
        return HealthServer(
            settings.metrics_host,
            settings.metrics_port,
            registry=multiprocess.registry(),
            sick=sick,
            unready=unready,
            hosts=settings.metrics_hosts,
        )

    try:
        return Supervisor(settings, make_server).run()
    except OSError as error:
        where = f"{settings.metrics_host}:{settings.metrics_port}"
        print(f"taskyard worker: METRICS_PORT: cannot listen on {where}: {error}", file=sys.stderr)
        return 2
    finally:
        multiprocess.clean(_metrics_folder)


if __name__ == "__main__":
    sys.exit(main())
