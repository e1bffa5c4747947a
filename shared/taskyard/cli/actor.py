"""Who runs a command, as the functions of `operations` and the audit log name them."""

import getpass
import os
import socket

from taskyard.catalogue import Catalogue
from taskyard.client import Client
from taskyard.operations.actor import Actor
from taskyard.operations.audit_log import AuditLog


def actor(client: Client) -> Actor:
    """Return who runs this command; its entries in the audit log have the origin `cli`."""
    settings = client.settings
    return Actor(
        store=client.store,
        settings=settings,
        catalogue=Catalogue(client.store),
        audit_log=AuditLog(
            client.store,
            origin="cli",
            max_entries=settings.audit_log_max,
            ttl_s=settings.audit_log_ttl,
        ),
        who=who(),
        read=client.store.look,
    )


def who() -> str:
    """Return the user and the machine, as the audit log names them: `cli:<user>@<host>`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = str(os.getuid())
    return f"cli:{user}@{socket.gethostname()}"
