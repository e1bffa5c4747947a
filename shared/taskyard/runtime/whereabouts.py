"""Which servers a client asks, as it may be shown, and what to do if others were meant."""

from pathlib import Path
from urllib.parse import urlsplit

from taskyard.config import FIELDS, Settings

#: What is in the current folder where servers of taskyard run, and what a shell does to have their addresses.
_HERE = {".run/env": "source ./.run/env", "deploy/addresses.sh": 'eval "$(deploy/addresses.sh)"'}


def store_place(url: str) -> str:
    """Return the URL of the store without its login."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def store_label(settings: Settings) -> str:
    """Return where jobs are looked for, with what to do if others were meant."""
    place = f"{store_place(settings.result_backend)} (key prefix {settings.key_prefix!r})"
    return f"{place}{_if_others_were_meant(settings, 'result_backend')}"


def remedy(settings: Settings, name: str) -> str:
    """Return the end of a sentence about a server that does not answer: which variable has its address.

    Args:
        settings: Those in use.
        name: `broker_url` or `result_backend`.
    """
    if getattr(settings, name) != FIELDS[name].default:
        return f"; {name.upper()} has its address"
    other = _if_others_were_meant(settings, name)
    return other or f"; that is the default of {name.upper()}"


def _if_others_were_meant(settings: Settings, name: str) -> str:
    if getattr(settings, name) != FIELDS[name].default:
        return ""
    how = next((command for path, command in _HERE.items() if Path(path).exists()), "")
    return (
        how and f"; {name.upper()} has its default: `{how}` sets it to the servers of this folder"
    )
