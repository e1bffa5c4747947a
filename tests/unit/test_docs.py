"""The documents are true of the code: links lead somewhere, and names that they tell exist."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pika
import pytest
from opentelemetry import environment_variables as api_variables
from opentelemetry.sdk import environment_variables as sdk_variables
from prometheus_client.metrics import MetricWrapperBase

from services.api import http_worker, problems
from services.api.app import create_app
from taskyard import audit_log, cli, config, errors
from taskyard.dead_letters import dead_letter
from taskyard.dispatcher import Dispatcher
from taskyard.explain.findings import CODES
from taskyard.explain.timeline import PHASES
from taskyard.job import Job, JobError, State, document
from taskyard.message import Message, Options, decode
from taskyard.rabbitmq.publisher import Publisher
from taskyard.request import JobRequest, parse
from taskyard.schedules.plan import Outcome
from taskyard.schedules.rule import Missed, Overlap, Schedule
from taskyard.store import open_store
from taskyard.store.attempts import VerdictKind
from taskyard.store.audit_log import Action, LoggedAction
from taskyard.submission import Submission
from taskyard.task_options import TaskOptions
from tests.amqp_document import REPLIES, names_of
from tests.monitoring import all_metrics

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
#: OpenTelemetry's own variables.
OTEL_NAMES = {
    name
    for module in (api_variables, sdk_variables)
    for name in vars(module)
    if name.startswith("OTEL_")
}
#: Variables that are not settings of the services: of `make run`, compose and the tests.
NOT_SETTINGS = frozenset(
    {
        "ALERTMANAGER_PORT",
        "API_MEMORY",
        "API_URL",
        "COMPOSE_FILE",
        "JAEGER_PORT",
        "LOG_MAX_SIZE",
        "RABBITMQ_MEMORY",
        "RABBITMQ_PAGE_PORT",
        "RABBITMQ_TLS_PORT",
        "REDIS_MAXMEMORY",
        "REDIS_MEMORY",
        "SCHEDULER_MEMORY",
        "TASKYARD_REQUIREMENTS",
        "WORKER_CPUS",
        "WORKER_MEMORY",
        "WORKER_STOP_GRACE",
        "RABBITMQ_ADMIN_PASSWORD",
        "RABBITMQ_API_PASSWORD",
        "RABBITMQ_MONITOR_PASSWORD",
        "RABBITMQ_PORT",
        "RABBITMQ_PRODUCER_PASSWORD",
        "RABBITMQ_SCHEDULER_PASSWORD",
        "RABBITMQ_WORKER_PASSWORD",
        "GRAFANA_PASSWORD",
        "GRAFANA_PORT",
        "PROMETHEUS_PORT",
        "PROMETHEUS_RETENTION",
        "RABBITMQ_MANAGEMENT_URL",
        "SCHEDULER_METRICS_URL",
        "RABBITMQ_SERVER",
        "REDIS_SERVER",
        "WORKER_METRICS_URL",
        "PYTEST_FLAGS",
        "LOCK_FLAGS",
    }
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_heading(page):
    """A link into this repository names a file that is there and, after #, one of its headings."""
    text = FENCE.sub("", page.read_text())

    broken = [link for link in LINK.findall(text) if not _leads_somewhere(page, link)]

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_compiles(page):
    """An example has no typing error; tasks in it are not run."""
    for language, block in FENCE.findall(page.read_text()):
        if language == "python":
            compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_told_exists(page):
    """A variable in a page is a setting, or one of the few of the tools around."""
    known = {name.upper() for name in config.Settings.model_fields} | NOT_SETTINGS | OTEL_NAMES

    told = set(SETTING.findall(page.read_text()))

    assert told - known == set()


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


def test_metrics_in_alerts_exist():
    """An alert's expression names metrics and labels that are there."""
    page = (ROOT / "docs/operations.md").read_text()

    told = set(re.findall(r"\btaskyard_[a-z_]+\b", page))

    assert told - {row[0].strip("`") for row in _rows("docs/operations.md", "Metrics")[0]} == set()


def test_every_state_is_told():
    """The tables of states have all states and no other."""
    states = {state.value for state in State}

    assert _names(_rows("README.md", "States")[0]) == states
    assert _names(_rows("docs/job-lifecycle.md", "States")[0]) == states


def test_every_verdict_is_told():
    """The table of messages that are not run has all verdicts but those that go on."""
    assert set(get_args(VerdictKind)) - {"run", "unknown"} == _names(
        _rows("docs/job-lifecycle.md", "Attempts")[0]
    )


def test_every_verdict_that_is_counted_is_told():
    """The metric of messages without a run names all verdicts but those whose messages come again."""
    (told,) = [
        row[5]
        for row in _rows("docs/operations.md", "Metrics")[0]
        if row[0] == "`taskyard_messages_skipped_total`"
    ]

    assert set(get_args(VerdictKind)) - {"run", "unknown", "paused"} == set(
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


def test_headers_of_dead_letters_are_told():
    """The table has all headers that a dead letter can have."""
    letter = dead_letter(
        "q",
        b"",
        id="1",
        task="t",
        reason="timeout",
        error=JobError("E", "m"),
        attempts=1,
        first_failed_at_ms=1,
        worker="w",
        priority=5,
    )

    assert set(letter.headers or {}) == _names(_rows("docs/protocol.md", "Dead letters")[0])


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
    made |= {code for _, code in http_worker.REFUSALS.values()}

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


def test_replies_over_amqp_are_told():
    """The table has each status, and the examples are what the published schemas say."""
    page = (ROOT / "docs/protocol.md").read_text()
    section = page[page.index("### Replies to submissions") : page.index("## The job document")]
    examples = [
        json.loads(block) for language, block in FENCE.findall(section) if language == "json"
    ]

    assert _names(_rows("docs/protocol.md", "Replies to submissions")[0]) == {
        "accepted",
        "refused",
        "partial",
        "ended",
    }
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


def test_fields_of_requests_and_messages_are_told():
    """The tables have the fields of a submission, an envelope, its options and the job document."""
    assert set(JobRequest.model_fields) == _names(_rows("docs/protocol.md", "Submitting")[0])
    extra = set(Submission.model_fields) - set(JobRequest.model_fields)
    assert _names(_rows("docs/protocol.md", "The submission")[0]) == extra
    envelope, options = _rows("docs/protocol.md", "Messages")[:2]
    assert set(Message.__struct_fields__) == _names(envelope)
    assert set(Options.__struct_fields__) == _names(options)
    assert set(document(_job())) == _names(_rows("docs/protocol.md", "The job document")[0])


def test_fields_of_schedules_are_told():
    """The tables of schedules have all fields, policies and outcomes."""
    assert set(Schedule.model_fields) == _names(_rows("docs/schedules.md", "Fields")[0])
    for heading, words in (
        ("Missed fire times", Missed),
        ("Overlap", Overlap),
        ("History", Outcome),
    ):
        assert set(get_args(words)) == _names(_rows("docs/schedules.md", heading)[0])


def test_findings_and_phases_are_told():
    """The tables of explanations have all codes and phases, each with what to do or what it means."""
    findings = _rows("docs/explain.md", "Findings")[0]
    assert set(CODES) == _names(findings)
    assert all(row[3] for row in findings)
    assert set(PHASES) == _names(_rows("docs/explain.md", "Phases")[0])


def test_every_module_of_the_library_is_told():
    """The table of the architecture has each module and package at its top level."""
    library = ROOT / "shared/taskyard"
    there = {path.stem for path in library.glob("*.py")} - {"__init__"}
    there |= {path.parent.name for path in library.glob("*/__init__.py")}

    told = " ".join(row[1] for row in _rows("docs/architecture.md", "The library")[0])

    assert there - set(re.findall(r"`(\w+)`", told)) == set()


def test_every_command_is_told():
    """The table of commands has all of the command line and no other."""
    told = {name.split()[1] for name in _names(_rows("README.md", "From the shell")[0])}

    assert set(cli.main.commands) == told


def test_every_action_is_told():
    """The table of the audit log has all actions and no other, and all fields of an entry."""
    shown = audit_log.document(LoggedAction(0, Action(id="", who="", origin="", action="")))

    assert set(get_args(audit_log.ActionName)) == _names(_rows("docs/audit-log.md", "Actions")[0])
    assert set(shown) == _names(_rows("docs/audit-log.md", "An entry")[0])


def test_options_of_tasks_are_told():
    """The table of `@task(...)` has all options, and the name."""
    options = set(TaskOptions.__struct_fields__) - {"unique"}  # made of the three about it
    assert {"name"} | options == _names(_rows("docs/tasks.md", "Options")[0])


@pytest.mark.parametrize("name", ["publish_job", "dramatiq_producer"])
def test_examples_load_without_a_server(name):
    """An example connects only when it is run; all that it imports is there."""
    path = ROOT / "examples" / f"{name}.py"
    load = f"import runpy; assert callable(runpy.run_path({str(path)!r})['main'])"

    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


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
    modules = ("nesting", "request", "signature", "strict_json", "submission", "task")
    calls = [
        node
        for name in modules
        for node in ast.walk(ast.parse((ROOT / f"shared/taskyard/{name}.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Fault", "self._fault")
    ]
    return {str(call.args[1].value) for call in calls if isinstance(call.args[1], ast.Constant)}


def _faults(fields: dict[str, object]) -> list[errors.Fault]:
    with pytest.raises(errors.InvalidSubmission) as caught:
        parse({"task": "t", **fields})
    return list(caught.value.faults)


def _job() -> Job:
    body = (
        '{"queue_name":"q","actor_name":"t","args":[],"kwargs":{},"options":{},'
        '"message_id":"1","message_timestamp":1}'
    )
    return Job(message=decode(body), queue="q", state=State.PENDING, attempt=0, created_at=1)


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
