"""The documents are true of the code: links lead somewhere, and names that they tell exist."""

import ast
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import click
import pika
import pytest
from opentelemetry import environment_variables as api_variables
from opentelemetry.sdk import environment_variables as sdk_variables
from prometheus_client.metrics import MetricWrapperBase

import taskyard
from services.api.app import create_app
from services.api.http import problems
from services.api.server import incoming
from taskyard import cli, config, errors
from taskyard.dead_letters.message import dead_letter
from taskyard.dispatcher import Dispatcher
from taskyard.explain.findings import CODES
from taskyard.explain.timeline import PHASES
from taskyard.faults import Fault
from taskyard.job import Job, JobError, State, document
from taskyard.message import Message, Options, decode
from taskyard.operations import audit_log
from taskyard.rabbitmq.bodies import cut
from taskyard.rabbitmq.publisher import Publisher
from taskyard.request import JobRequest, parse
from taskyard.schedules.plan import FireOutcome
from taskyard.schedules.rule import Missed, Overlap, Schedule
from taskyard.store import open_store
from taskyard.store.attempts import VerdictKind
from taskyard.store.audit_log import Action, LoggedAction
from taskyard.submission import Answer, Submission
from taskyard.task_options import TaskOptions
from tests.amqp_document import REPLIES, names_of
from tests.monitoring import all_metrics, rules

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = "\n".join(
    path.read_text()
    for folder in ("shared/taskyard", "services")
    for path in sorted((ROOT / folder).rglob("*.py"))
)

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Capitals with an underscore, in backticks, with or without a value.
SETTING = re.compile(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`")
#: Ours, and what rules record of them, such as `job:taskyard_jobs_started:rate5m`.
METRIC = re.compile(r"\b(?:\w+:)?taskyard_[a-z_]+[a-z](?::\w+)?\b")
#: OpenTelemetry's own variables.
OTEL_NAMES = {
    name
    for module in (api_variables, sdk_variables)
    for name in vars(module)
    if name.startswith("OTEL_")
}
#: Where variables are that are not settings of the services: compose's, make's, those of `make run`.
TOOLS = (
    "docker-compose.yml",
    "deploy/compose.tls.yml",
    "Makefile",
    "tools/run/stack.py",
)
#: Docker's own, and a file that is called like a metric.
STRANGERS = {"NO_COLOR", "COMPOSE_FILE", "taskyard_metrics_key"}


def _job() -> Job:
    body = (
        '{"queue_name":"q","actor_name":"t","args":[],"kwargs":{},"options":{},'
        '"message_id":"1","message_timestamp":1}'
    )
    return Job(message=decode(body), queue="q", state=State.PENDING, attempt=0, created_at=1)


def _reply_statuses() -> set[str]:
    return {"ended"} | {str(kind.__struct_config__.tag) for kind in get_args(Answer)}


def _headers_of_a_dead_letter() -> Iterable[str]:
    """Return all headers that a dead letter can have."""
    letter = dead_letter(
        "q",
        cut(b"12", 1),
        id="1",
        task="t",
        reason="timeout",
        error=JobError("E", "m"),
        attempts=1,
        first_failed_at_ms=1,
        worker="w",
        priority=5,
    )
    return letter.headers or {}


#: Tables whose first column has these names and no others: page, heading, number of the table, names.
TABLES: list[tuple[str, str, int, Iterable[str]]] = [
    ("docs/python-api.md", "Names", 0, taskyard.__all__),
    ("README.md", "States", 0, State),
    ("docs/job-lifecycle.md", "States", 0, State),
    ("docs/job-lifecycle.md", "Attempts", 0, set(get_args(VerdictKind)) - {"run", "unknown"}),
    ("docs/protocol.md", "Submitting", 0, JobRequest.model_fields),
    (
        "docs/protocol.md",
        "The submission",
        0,
        Submission.model_fields.keys() - JobRequest.model_fields.keys(),
    ),
    ("docs/protocol.md", "Messages", 0, Message.__struct_encode_fields__),
    ("docs/protocol.md", "Messages", 1, Options.__struct_fields__),
    ("docs/protocol.md", "The job document", 0, document(_job())),
    ("docs/protocol.md", "Dead letters", 0, _headers_of_a_dead_letter()),
    ("docs/protocol.md", "Replies to submissions", 0, _reply_statuses()),
    ("docs/schedules.md", "Fields", 0, Schedule.model_fields),
    ("docs/schedules.md", "Missed fire times", 0, get_args(Missed)),
    ("docs/schedules.md", "Overlap", 0, get_args(Overlap)),
    ("docs/schedules.md", "History", 0, get_args(FireOutcome)),
    ("docs/explain.md", "Findings", 0, CODES),
    ("docs/explain.md", "Phases", 0, PHASES),
    ("docs/audit-log.md", "Actions", 0, get_args(audit_log.ActionName)),
    (
        "docs/audit-log.md",
        "An entry",
        0,
        audit_log.document(LoggedAction(0, Action(id="", who="", origin="", action=""))),
    ),
    # Without `unique`, which is made of the three about it.
    ("docs/tasks.md", "Options", 0, {"name", *TaskOptions.__struct_fields__} - {"unique"}),
]


@pytest.mark.parametrize(("page", "heading", "number", "names"), TABLES)
def test_a_table_is_whole(page, heading, number, names):
    """What it lists are the names that the code has: none is missing, and none is made up."""
    assert _names(_rows(page, heading)[number]) == set(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_heading(page):
    """A link into this repository names a file that is there and, after #, one of its headings."""
    text = FENCE.sub("", page.read_text())

    broken = [link for link in LINK.findall(text) if not _leads_somewhere(page, link)]

    assert broken == []


@pytest.mark.parametrize(
    ("heading", "folder"), [("The library", "shared/taskyard"), ("The services' code", ".")]
)
def test_the_layout_names_what_is_there(heading, folder):
    """Each module and package in the tables of the architecture exists."""
    named = re.findall(
        r"`([\w/]+)`", "\n".join(row[0] for row in _rows("docs/architecture.md", heading)[0])
    )

    assert len(named) >= 3
    places = [ROOT / folder / name for name in named]
    assert [p for p in places if not p.is_dir() and not p.with_suffix(".py").is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_compiles(page):
    """An example has no typing error; tasks in it are not run."""
    for language, block in FENCE.findall(page.read_text()):
        if language == "python":
            compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_told_exists(page):
    """A variable in a page is a setting, or one of the few of the tools around."""
    known = {name.upper() for name in config.FIELDS} | OTEL_NAMES | STRANGERS
    tools = "\n".join((ROOT / name).read_text() for name in TOOLS)

    told = set(SETTING.findall(page.read_text()))

    assert {name for name in told - known if not re.search(rf"\b{name}\b", tools)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_that_is_told_exists(page):
    """In the code, or in the rules if it is a recorded one; an alert is looked into by its name."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = {name for each in all_metrics() for name in (each.name, *each.series())} | recorded

    told = set(METRIC.findall(page.read_text()))

    assert told - known - STRANGERS == set()


def test_every_attribute_of_spans_is_told():
    """Of those that are taskyard's own, each that the code sets and no other."""
    code = "\n".join(
        path.read_text()
        for folder in ("shared/taskyard", "services")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search("trac", path.read_text())
    )
    set_there = set(re.findall(r'"(taskyard\.[a-z_.]+)"(?::|\] =)', code))

    told = _names(_rows("docs/tracing.md", "Spans")[1])

    assert set_there == told


def test_compose_passes_variables_that_opentelemetry_has():
    """With the names that its SDK knows."""
    passed = set(re.findall(r"^  (OTEL_\w+):", (ROOT / "docker-compose.yml").read_text(), re.M))

    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in passed
    assert passed <= OTEL_NAMES


def test_every_metric_is_told_with_its_labels():
    """The table of metrics has each metric of the code once, with its type and labels, and no other."""
    rows = _rows("docs/operations.md", "Metrics")[0]
    made = {each.name: each for each in all_metrics()}

    assert {name: each.type for name, each in made.items()} == {
        row[0].strip("`"): row[1] for row in rows
    }
    labels = {row[0].strip("`"): re.findall(r"\w+", row[3]) for row in rows}
    assert [name for name in made if not _has_labels(made[name].metric, labels[name])] == []


def test_every_verdict_that_is_counted_is_told():
    """The metric of messages without a run names all verdicts but those whose messages come again."""
    (told,) = [
        row[5]
        for row in _rows("docs/operations.md", "Metrics")[0]
        if row[0] == "`taskyard_messages_skipped_total`"
    ]

    assert set(get_args(VerdictKind)) - {"run", "unknown", "paused", "fault", "gone"} == set(
        re.findall(r"`([^`]+)`", told)
    )


@pytest.mark.parametrize(
    ("page", "heading"),
    [("docs/job-lifecycle.md", "Reasons"), ("docs/protocol.md", "Dead letters")],
)
def test_every_reason_that_is_told_exists(page, heading):
    """A reason in a page is a word that the code uses."""
    reasons = _names(_rows(page, heading)[-1])

    assert len(reasons) >= 10
    assert [reason for reason in sorted(reasons) if f'"{reason}"' not in CODE] == []


def test_every_endpoint_is_told():
    """The table of endpoints has all routes of the API and no other."""
    settings = config.load()
    app = create_app(settings, Dispatcher(open_store(settings), Publisher(settings.broker_url)))
    made = {
        (method, re.sub(r"<\w+>", "<id>", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    told = {
        tuple(re.sub(r"<\w+>", "<id>", each).split())
        for row in _rows("docs/protocol.md", "REST")[0]
        for each in re.findall(r"`([A-Z]+ [^`]+)`", row[0])
    }

    assert made == told


def test_every_error_code_of_rest_is_told():
    """The table of errors has the code of each error that the API answers with."""
    told = _names(_rows("docs/protocol.md", "Errors")[0])
    made = {kind.code for kind in problems.STATUS if kind is not errors.Unavailable}
    made |= {errors.StoreUnavailable.code, errors.BrokerUnavailable.code, "internal"}
    made |= set(problems.HTTP_CODES.values())
    made |= incoming.REFUSALS.keys()

    assert made == told


def test_every_code_of_a_fault_is_told():
    """The table of faults has the codes that a submission can meet, and each is one that the code says."""
    told = _names([[row[0]] for row in _rows("docs/protocol.md", "Faults")[0]])
    bad: list[dict[str, object]] = [
        {"task": 5, "args": 5, "kwargs": 5, "tags": "x", "colour": 1, "priority": "x"},
        {"id": "a b", "priority": 10, "delay_s": float("inf"), "run_at": "x", "tags": [""]},
        {"timeout_s": 0, "priority": -1, "tags": ["a" * 101], "run_at": 5, "delay_s": "x"},
        {"tags": ["a"] * 21, "delay_s": 1, "run_at": "2026-11-24T10:00:00Z", "queue": "a.dead"},
    ]

    met = {fault.code for each in bad for fault in _faults(each)}

    assert met - told == set()
    composed = {"unknown_task", "unknown_queue"}
    assert [code for code in told - met - composed if f'"{code}"' not in CODE] == []
    assert _codes_of_faults() - told == set()


def test_examples_of_replies_are_replies():
    """By the published schemas, one each."""
    page = (ROOT / "docs/protocol.md").read_text()
    section = page[page.index("### Replies to submissions") : page.index("## The job document")]
    examples = [
        json.loads(block) for language, block in FENCE.findall(section) if language == "json"
    ]

    properties = pika.BasicProperties(
        app_id="taskyard", content_type="application/json", delivery_mode=2
    )
    for example in examples:
        assert len(names_of(properties, example, REPLIES)) == 1, example


def test_examples_of_submissions_are_submissions():
    """By the published schema."""
    page = (ROOT / "docs/protocol.md").read_text()
    section = page[page.index("### The submission") : page.index("### What becomes")]

    for _, block in FENCE.findall(section):
        names = names_of(
            pika.BasicProperties(), json.loads(block), ["submission", "submissionBatch"]
        )
        assert len(names) == 1, block


def test_every_command_is_told():
    """The table of commands has all of the command line and no other."""
    told = {name.split()[1] for name in _names(_rows("docs/cli.md", "Commands")[0])}

    assert set(cli.main.list_commands(click.Context(cli.main))) == told


def _has_labels(metric: MetricWrapperBase, names: list[str]) -> bool:
    """Return whether a metric has these labels and no other."""
    if not names:
        (family,) = metric.collect()
        return bool(family.samples) and all(each.labels.keys() <= {"le"} for each in family.samples)
    tried = dict.fromkeys(names, "tried")
    try:
        metric.labels(**tried)
    except ValueError:
        return False
    metric.remove_by_labels(tried)
    return True


def _codes_of_faults() -> set[str]:
    """Return the codes that the library's checks of a submission spell out."""
    modules = (
        "validation/nesting",
        "request",
        "arguments/signature",
        "validation/strict_json",
        "submission",
        "task",
    )
    calls = [
        node
        for name in modules
        for node in ast.walk(ast.parse((ROOT / f"shared/taskyard/{name}.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Fault", "self._fault")
    ]
    return {str(call.args[1].value) for call in calls if isinstance(call.args[1], ast.Constant)}


def _faults(fields: dict[str, object]) -> list[Fault]:
    with pytest.raises(errors.InvalidSubmission) as caught:
        parse({"task": "t", **fields})
    return list(caught.value.faults)


def _leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _rows(page: str, heading: str) -> list[list[list[str]]]:
    """Return the tables below a heading, up to the next one, each as its rows without the first."""
    text = FENCE.sub("", (ROOT / page).read_text())
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"{page} has no heading {heading!r}"
    tables = re.findall(r"(?:^\|.*\n?)+", section[1], re.MULTILINE)
    return [[_cells(line) for line in table.splitlines()[2:]] for table in tables]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _names(rows: list[list[str]]) -> set[str]:
    """Return what is in backticks in the first column."""
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
