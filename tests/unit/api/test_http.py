"""What the API answers without asking store or broker: problems, ids, its own document."""

import json
import logging
import re

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.api.app import ROUTES, create_app
from services.api.openapi.document import collected
from services.api.openapi.shapes import Schema
from taskyard import config
from taskyard.dispatcher import Dispatcher
from taskyard.errors import Unstorable
from taskyard.rabbitmq.publisher import Publisher
from taskyard.request import RESERVED_IDS
from taskyard.store import open_store

NOWHERE = {"broker_url": "amqp://127.0.0.1:1/", "result_backend": "redis://127.0.0.1:1/0"}


@pytest.fixture
def app():
    """An application whose servers are not there; nothing here needs them."""
    settings = config.load(**NOWHERE)
    dispatcher = Dispatcher(open_store(settings), Publisher(settings.broker_url))
    return create_app(settings, dispatcher)


@pytest.fixture
def client(app):
    """A client of `app`."""
    return app.test_client()


def test_an_unknown_path_is_a_problem(client):
    """404 as problem+json."""
    answer = client.get("/nowhere")

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is nothing at /nowhere; GET / lists what there is",
        "code": "unknown_path",
        "request_id": answer.headers["X-Request-Id"],
    }


def test_a_wrong_method_is_a_problem_that_lists_the_right_ones(client):
    """405 with Allow."""
    answer = client.delete("/v1/jobs")

    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/nowhere", "/openapi.json", "/v1/jobs", "/healthz"]
)
def test_no_answer_is_kept_framed_shared_or_guessed_at(client, path):
    """Whatever it is, browsers are told so."""
    headers = client.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    (policy,) = headers.get_all("Content-Security-Policy")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))


def test_an_error_of_ours_is_logged_and_hidden(app, caplog):
    """500 says nothing of the cause; the log has it with its traceback."""

    def broken():
        raise KeyError("a secret")

    app.view_functions["operation.health"] = broken

    answer = app.test_client().get("/healthz")

    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert "secret" not in answer.get_data(as_text=True)
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "a secret" in repr(record.exc_info[1])


def test_what_the_store_has_no_form_for_is_told(app):
    """The text says what it is: whoever sent it can send something else."""

    def refusing():
        raise Unstorable("the store cannot take this: Integer value out of range")

    app.view_functions["operation.health"] = refusing

    answer = app.test_client().get("/healthz")

    assert (answer.status_code, answer.json["code"]) == (422, "unstorable")
    assert "out of range" in answer.json["detail"]


@pytest.mark.parametrize("given", ["a", "Root=1-67:x/y+z=", "x" * 128])
def test_a_request_keeps_its_id(client, given):
    """A safe X-Request-Id comes back."""
    answer = client.get("/healthz", headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "{}", "é"])
def test_an_unsafe_id_is_replaced(client, given):
    """What could spoil a log is not taken over."""
    answer = client.get("/healthz", headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"] not in ("", given)


def test_requests_are_logged_except_probes(client, caplog):
    """One line with method, route, status and time; the route is the template, not the path."""
    caplog.set_level(logging.INFO)

    for path in ("/healthz", "/metrics", "/", "/nowhere"):
        client.get(path)

    lines = [record for record in caplog.records if record.message == "request"]
    assert [(r.method, r.route, r.status) for r in lines] == [
        ("GET", "/", 200),
        ("GET", "none", 404),
    ]
    assert all(0 <= record.duration_s < 10 for record in lines)


def test_a_probe_that_fails_is_logged(client, caplog):
    """Who looks for the reason finds it."""
    caplog.set_level(logging.INFO)

    client.get("/readyz")

    assert [r.status for r in caplog.records if r.message == "request"] == [503]


def test_requests_are_counted_under_their_template(client):
    """Neither ids nor invented methods make new series."""
    for _ in range(2):
        client.get("/v1/tasks/never-a-route")
    client.open("/v1/jobs", method="BREW")

    measured = client.get("/metrics").get_data(as_text=True)

    assert 'taskyard_http_requests_total{method="GET",route="none",status="404"}' in measured
    assert 'taskyard_http_requests_total{method="other",route="none",status="405"}' in measured
    assert 'taskyard_http_request_seconds_count{method="GET",route="none"}' in measured
    assert 'taskyard_build_info{service="api"' in measured
    assert "never-a-route" not in measured
    assert "BREW" not in measured


def test_the_index_leads_to_routes_that_exist(app):
    """Every link can be followed."""
    rules = {rule.rule for rule in app.url_map.iter_rules()}

    index = app.test_client().get("/").json

    assert index["name"] == "taskyard"
    assert set(index["links"].values()) <= rules


def test_the_openapi_document_is_valid(client):
    """It is OpenAPI 3.1."""
    document = client.get("/openapi.json").json

    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_two_schemas_of_one_name_are_refused():
    """One would hide the other in the document."""
    sources: list[dict[str, Schema]] = [
        {"Job": {"type": "object"}},
        {"Task": {}},
        {"Job": {"type": "string"}},
    ]

    with pytest.raises(ValueError, match="two schemas of the name 'Job'"):
        collected(sources)


def test_the_openapi_document_has_every_route(app):
    """Each rule and method is described, and nothing else is."""
    automatic = {"HEAD", "OPTIONS"}
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods - automatic
    }

    paths = app.test_client().get("/openapi.json").json["paths"]

    assert {(path, method) for path, item in paths.items() for method in item} == routes


def test_no_job_can_have_the_name_of_a_route(app):
    """Fixed words beside an id, of a job or of a job's dead letter, are no ids."""
    paths = [rule.rule for rule in app.url_map.iter_rules()]
    places = {path.rpartition("/")[0] for path in paths if re.search("/<(job|letter)_id>$", path)}

    words = {word for place, _, word in (path.rpartition("/") for path in paths) if place in places}

    assert {"count", "batch", "replays"} <= words
    assert {word for word in words if not word.startswith("<")} <= RESERVED_IDS


def test_the_reference_page_has_every_operation(client):
    """Each has its anchor, all that is linked within is there, and nothing comes from elsewhere."""
    page = client.get("/docs")
    text = page.get_data(as_text=True)
    paths = client.get("/openapi.json").json["paths"]

    anchors = set(re.findall(r'id="([^"]+)"', text))
    assert {o["operationId"] for methods in paths.values() for o in methods.values()} <= anchors
    assert set(re.findall(r'href="#([^"]+)"', text)) <= anchors
    assert re.findall(r'(?:href|src)="([^#"][^"]*)"', text) == ["/openapi.json"]
    assert "<script" not in text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_a_command_asks_for_what_its_operation_takes(client):
    """With the key where one is needed, and the values that the document has for examples."""
    paths = client.get("/openapi.json").json["paths"]

    def command(method, path):
        (sample,) = paths[path][method]["x-codeSamples"]
        return sample["source"]

    assert command("get", "/healthz") == 'curl -sS "$API_URL/healthz"'
    assert command("patch", "/v1/jobs/{job_id}").splitlines() == [
        'curl -sS -X PATCH "$API_URL/v1/jobs/order-4711" \\',
        '  -H "Authorization: Bearer $API_KEY" \\',
        "  -H 'Content-Type: application/json' \\",
        """  -d '{"priority": 9, "delay_s": 3600}'""",
    ]
    assert "-H 'Idempotency-Key: " in command("post", "/v1/jobs/batch")
    assert "/v1/jobs?state=failed&limit=20" in command("get", "/v1/jobs")


def test_the_examples_conform_to_their_schemas(client):
    """What the document shows is what it says."""
    components = client.get("/openapi.json").json["components"]

    shown = {n: s["examples"] for n, s in components["schemas"].items() if "examples" in s}

    assert set(shown) >= {"Job", "JobRequest", "Problem"}
    for name, examples in shown.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        assert all(validator.is_valid(example) for example in examples), name


def test_schemas_are_made_of_what_json_schema_has(client):
    """A bound that pydantic finds no place for is told by a name of its own, which no client reads."""
    document = client.get("/openapi.json").json

    used = set(_words_of_numbers(document))

    assert used <= {
        *("type", "format", "default", "description", "title", "examples", "readOnly"),
        *("minimum", "maximum", "exclusiveMinimum"),
    }


def test_no_schema_has_the_name_of_another():
    """Of two with one name, the document would have the later one only."""
    names = [name for module in ROUTES for name in getattr(module, "SCHEMAS", {})]

    assert len(names) == len(set(names))


def test_every_operation_has_its_own_name_and_a_summary(client):
    """Programs that generate clients name functions by operationId."""
    paths = client.get("/openapi.json").json["paths"]

    operations = [operation for item in paths.values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(operation["summary"].endswith(".") for operation in operations)
    assert all("500" in operation["responses"] for operation in operations)


def _operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _words_of_numbers(part):
    """Give the keywords of all schemas of numbers in a part of the document."""
    if isinstance(part, dict) and part.get("type") in ("integer", "number"):
        yield from part
    children = part.values() if isinstance(part, dict) else part
    if isinstance(part, dict | list):
        for child in children:
            yield from _words_of_numbers(child)


def _bodies(document, operation):
    """Give bodies for an operation: none, an empty one, and the examples of its schema."""
    yield None
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"]["$ref"].rpartition("/")[2]
        yield {}
        yield from document["components"]["schemas"][name].get("examples", [])


def test_without_its_servers_every_operation_answers_as_it_says(client):
    """A status, content type and headers that are told; 503 says when to try again."""
    document = client.get("/openapi.json").json
    statuses: dict[int, int] = {}
    for path, method, operation in _operations(document):
        for body in _bodies(document, operation):
            answer = client.open(re.sub(r"{\w+}", "x", path), method=method, json=body)
            what = (method, path, body, answer.status_code)
            told = operation["responses"].get(str(answer.status_code))
            assert told is not None, what
            assert answer.mimetype in told["content"], what
            assert ("Retry-After" in answer.headers) == ("Retry-After" in told["headers"]), what
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            answer.close()

    assert statuses[503] > 30


def test_every_operation_is_told_completely(client):
    """A tag that is explained, parameters with a description, all headers with one."""
    document = client.get("/openapi.json").json
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}
    for path, method, operation in _operations(document):
        what = (method, path)
        assert operation["summary"], what
        assert operation["description"], what
        assert set(operation["tags"]) <= tags, what
        assert len(operation["tags"]) == 1, what
        for parameter in operation["parameters"]:
            assert parameter["in"] == "path" or parameter["description"], (what, parameter)
        for status, response in operation["responses"].items():
            assert response["description"], (what, status)
            assert all(header["description"] for header in response.get("headers", {}).values()), (
                what
            )
            is_problem = "application/problem+json" in response.get("content", {})
            assert (int(status) >= 400) == is_problem or path == "/readyz", (what, status)
            if is_problem:
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (what, status)


def test_every_schema_is_used_and_every_reference_leads_somewhere(client):
    """Nothing is left over of what was taken away."""
    document = client.get("/openapi.json").json
    text = json.dumps(document)
    used = set(re.findall(r'"#/components/schemas/(\w+)"', text))

    # The data of events has no place in OpenAPI 3.1; their stream names the schema.
    assert used == document["components"]["schemas"].keys() - {"StateEvent"}
