"""Starts the API: `python -m services.api`."""

import logging
import sys

from services.api.auth import exposure
from services.api.server.serve import Server
from taskyard import config
from taskyard.errors import ConfigurationError, Unavailable
from taskyard.store import open_store
from taskyard.telemetry import logs

logger = logging.getLogger("services.api")

EXIT_CONFIGURATION = 2


def main() -> int:
    """Serve until a signal; return the exit status."""
    try:
        settings = config.load()
        logs.configure(settings, "api")
        _check_store(settings)
    except ConfigurationError as error:
        print(f"services.api: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    Server(settings).run()
    return 0


def _check_store(settings: config.Settings) -> None:
    """Log what is unsafe about the store and its keys; one that is away now may come later (see `/readyz`).

    Raises:
        ConfigurationError: If the store would throw jobs away, or others could use the API without a key.
    """
    store = open_store(settings)
    try:
        for warning in store.check():
            logger.warning(warning)
        exposure.check(settings, store)
    except Unavailable as error:
        logger.warning("store not checked: %s", error)
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
