"""Who can reach the API as it is set up, and whether they need a key; checked when it starts."""

import logging

from taskyard import keys
from taskyard.config import Settings
from taskyard.errors import ConfigurationError
from taskyard.runtime.browsers import is_loopback
from taskyard.store import JobStore
from taskyard.store.keys import NewKey

logger = logging.getLogger(__name__)

#: What the first key is called.
FIRST = "first"


def is_open(settings: Settings) -> bool:
    """Return whether requests without a key may be served, as long as there is none."""
    return is_loopback(settings.api_host) or settings.api_allow_anonymous


def first_key(settings: Settings) -> NewKey | None:
    """Return the key in the settings, if there is one."""
    token = settings.api_key
    return keys.new_key(token, name=FIRST, scopes=["admin"]) if token else None


def check(settings: Settings, store: JobStore) -> None:
    """Make the first key, and say who is served without one.

    Raises:
        ConfigurationError: If others could use the API without a key, which nothing in the settings allows.
        StoreUnavailable: If the keys cannot be read; requests are refused as long as that is so.
    """
    first = first_key(settings)
    if first is not None:
        store.add_key(first, max_keys=keys.MAX_KEYS + 1, is_replacing=True)
        found = next((key for key in store.key_ring().keys if key.id == first.id), None)
        if found is not None and found.revoked_at_ms is not None:
            logger.warning("the key of API_KEY is revoked: it is refused")
    elif not store.key_ring().keys:
        _check_open(settings)


def _check_open(settings: Settings) -> None:
    where = f"API_HOST={settings.api_host}"
    if not is_open(settings):
        raise ConfigurationError(
            f"{where} lets others reach the API, and there is no API key: make one with "
            "`taskyard keys create`, set API_KEY or API_KEY_FILE, or set API_ALLOW_ANONYMOUS=true to serve "
            "whoever can reach it"
        )
    whom = "this machine" if is_loopback(settings.api_host) else "whoever can reach it"
    logger.warning("there is no API key: %s is served without one (%s)", whom, where)
