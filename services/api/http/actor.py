"""Who makes a request, as the functions of `taskyard.operations` and the audit log name them."""

from services.api.auth.principal import who
from services.api.context import context
from services.api.http.request_log import request_id
from taskyard.operations.actor import Actor


def actor() -> Actor:
    """Return who makes this request; their entries in the audit log have the origin `api`."""
    return Actor(
        store=context().store,
        settings=context().settings,
        catalogue=context().catalogue,
        audit_log=context().audit_log,
        who=who(),
        request_id=request_id(),
        read=context().read,
    )
