"""Requests made up from the OpenAPI document: the API answers each as its document says."""

from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from msgspec.structs import replace
from schemathesis.checks import CHECKS
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from services.api.app import create_app
from taskyard.keys import new_key
from taskyard.request import RESERVED_IDS
from tests.polling import poll

#: What must be checked of each answer. All that schemathesis has is, but what that is depends on imports.
CHECKS_NEEDED = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
}
#: Where any text will do in each parameter: schemathesis looks for bad ones for minutes.
WITHOUT_RULES = {"/v1/jobs/{job_id}/events"}
#: Headers that mean something to a program; others are HTTP's own.
TELLING = {
    "allow",
    "etag",
    "idempotency-replayed",
    "link",
    "location",
    "preference-applied",
    "retry-after",
    "x-request-id",
}

pytest_plugins = ["tests.integration.api_fixtures"]

#: Not tried is whether all valid requests are taken: tasks and queues are those of the catalogue.
#: Of each operation, and as many that break its rules.
EXAMPLES = 10
#: Sent with each request; that none gets through without it, or with another one, is tried too.
KEY = "0123456789abcdef" * 4


@pytest.fixture
def schema(settings, store, dispatcher, catalogued) -> Any:
    """The document, bound to an application whose waits are short and that needs a key."""
    store.add_key(new_key(KEY, name="test", scopes=["admin"]), max_keys=1)
    dispatcher.publisher.start()
    poll(lambda: dispatcher.publisher.is_ready)
    # A server that is stopping, so that streams have an end.
    settings = replace(settings, wait_max_s=0.1)
    app = create_app(settings, dispatcher, is_stopping=lambda: True)
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


@pytest.mark.parametrize("mode", GenerationMode)
def test_the_api_answers_as_its_document_says(schema, mode):
    """No error of its own, no status, header or body that is not told; bad requests are refused."""
    assert set(CHECKS.get_all_names()) >= CHECKS_NEEDED
    findings = {}
    for each in schema.get_all_operations():
        operation = each.ok()
        if mode is GenerationMode.NEGATIVE and operation.path in WITHOUT_RULES:
            continue
        try:
            _try(operation, mode)
        except hypothesis.errors.Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # it has no rule that could be broken
        except FailureGroup as error:
            findings[operation.label] = str(error)
    assert not findings, "\n\n".join(map(str, findings.items()))


def has_only_told_headers(_context: Any, response: Any, case: Any) -> None:
    """Fail where an answer has a header that the document does not tell of."""
    told = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    names = {name.lower() for name in told.get("headers", {})}
    untold = TELLING & {name.lower() for name in response.headers} - names
    if response.status_code == 405:
        untold -= {"allow", "x-request-id"}  # told of all paths together
    assert not untold, f"{response.status_code} has {untold}"


def _try(operation: Any, mode: GenerationMode) -> None:
    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def attempt(case: Any) -> None:
        # OpenAPI matches a path without parameters first: this would be another operation.
        hypothesis.assume(not RESERVED_IDS & set(case.path_parameters.values()))
        case.call_and_validate(
            headers={"Authorization": f"Bearer {KEY}"},
            excluded_checks=[positive_data_acceptance],
            additional_checks=[has_only_told_headers],
        )

    attempt()
