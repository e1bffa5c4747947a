"""Reading settings from the environment: once, all at once, and every fault named in one error."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from taskyard import config_checks as checks
from taskyard.errors import ConfigurationError
from taskyard.validation.field_words import no_such

#: Settings that a file may hold, as a secret of Docker or Kubernetes does: `NAME_FILE` names it, and is
#: declared above its own.
SECRETS = ("broker_url", "result_backend", "api_key")
#: What a value has to meet beside its type and bounds. A check returns what is taken, or raises ValueError.
CHECKS: Mapping[str, tuple[Callable[[Any], Any], ...]] = {
    "broker_url": (checks.is_amqp, checks.are_hosts, checks.verifies),
    "result_backend": (checks.is_redis, checks.is_url, checks.verifies),
    "tls_ca_file": (checks.holds_cas,),
    "dead_letter_ttl": (checks.by_queue,),
    "dead_letter_max": (checks.by_queue, checks.keeps_one),
    "dead_letter_queue_bytes": (checks.by_queue,),
    "priority_aging_s": (checks.by_queue,),
    "reply_queue_prefix": (checks.is_prefix, checks.is_free),
    "api_anonymous_hosts": (checks.are_host_names,),
    "metrics_hosts": (checks.are_host_names,),
    "api_key": (checks.is_key,),
}
#: … and what it has to meet beside the settings above it, of which only those that are in order are there.
RELATIONS: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "tls_ca_file": checks.is_used,
    "tls_cert_file": checks.is_used,
    "tls_key_file": checks.fits_the_certificate,
    "retry_max_s": checks.not_below_the_shortest,
    "dead_letter_max_bytes": checks.has_room_for_a_job,
    "dead_letter_queue_bytes": checks.has_room_for_a_letter,
    "heartbeat_s": checks.well_within_the_lease,
}


def read(
    fields: Mapping[str, structs.FieldInfo], overrides: Mapping[str, object]
) -> dict[str, Any]:
    """Return the checked value of each setting, by name.

    Args:
        fields: The settings, each with its type, bounds and default.
        overrides: Values by name that win over the environment.

    Raises:
        ConfigurationError: If any value is refused, or a name is not known; the text names all of them.
    """
    faults = [
        f"{name.upper()}: {no_such('setting', name, fields, is_listed=False)}"
        for name in overrides
        if name not in fields
    ]
    environment = {name: text for name in fields if (text := os.environ.get(name.upper()))}
    given = {**environment, **_unambiguous(overrides, fields)}
    values: dict[str, Any] = {}
    for name, field in fields.items():
        try:
            values[name] = _value(name, field, given, values)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ConfigurationError("\n".join(faults))
    return values


def _value(
    name: str, field: structs.FieldInfo, given: Mapping[str, Any], above: Mapping[str, Any]
) -> Any:
    """Return a setting's value; the text of the error names the setting and the value."""
    value, where = given.get(name, field.default), ""
    try:
        if name in SECRETS and (path := above.get(f"{name}_file")):
            if value != field.default:
                raise ValueError(f"{name.upper()}_FILE is set too: set one of them")
            where = f"{name.upper()}_FILE={path!r}"
            value = checks.content(path)
        value = checks.convert(value, field.type)
        for check in CHECKS.get(name, ()):
            value = check(value)
        if name in RELATIONS:
            value = RELATIONS[name](value, above)
    except ValueError as error:
        shown = "***" if name in SECRETS else repr(value)
        raise ValueError(f"{where or f'{name.upper()}={shown}'}: {error}") from None
    return value


def _unambiguous(
    overrides: Mapping[str, object], fields: Mapping[str, structs.FieldInfo]
) -> dict[str, object]:
    """Return overrides that also take back the other form of a secret that the environment may have."""
    taken_back: dict[str, object] = {}
    for name in SECRETS:
        if name in overrides:
            taken_back[f"{name}_file"] = ""
        elif f"{name}_file" in overrides:
            taken_back[name] = fields[name].default
    return {**taken_back, **overrides}
