"""The whole system as its users see it: api, worker and scheduler as processes, on real servers."""

import html
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests import worker_tasks as tasks
from tests.polling import poll
from tests.wheel import installed_alone
from tests.yard import CHECKOUT
from tools.install_packages import PROMETHEUS_PACKAGE, ensure_installed


def block(page: str, heading: str) -> str:
    """Return the first program in Python below a heading."""
    program = rf"^#+ {heading}$.*?^```python\n(.*?)^```"
    found = re.search(program, (CHECKOUT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


README_PYTHON = block("README.md", "From Python")


def run(yard, *command, folder):
    """Return what a program prints that is told where the servers are, and finds no module but its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, env={**env, **yard.env}, cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class Rest:
    """Speaks to the API as any program would."""

    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None):
        """Return the status, the headers and the body of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.load(error)

    def submit(self, task, *args, path="/v1/jobs", **fields):
        """Return the document of an accepted job."""
        status, _, job = self.call("POST", path, {"task": task, "args": args, **fields})
        assert status == 202, job
        return job

    def ended(self, job_id):
        """Return the document of a job when it has ended."""
        return self.call("GET", f"/v1/jobs/{job_id}?wait_s=15")[2]


@pytest.fixture(scope="module")
def yard(make_yard):
    return make_yard(TASK_MODULES="tests.worker_tasks,tasks", WORKER_PROCESSES="2")


@pytest.fixture(scope="module")
def services(yard):
    services = {
        "worker": yard.worker(WORKER_QUEUES=""),
        "scheduler": yard.scheduler(),
        "api": yard.api(),
    }
    yard.queues += ["default"]
    with yard.running(*services.values()):
        poll(lambda: yard.store.tasks())
        yield services


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The programs of an environment that has the library's wheel."""
    return installed_alone(tmp_path_factory.mktemp("alone"))


@pytest.fixture
def rest(services):
    return Rest(services["api"].url)


@pytest.mark.parametrize(
    ("submit", "show"), [("/v1/jobs", "/v1/jobs/{}"), ("/add-task", "/task-status/{}")]
)
def test_a_job_goes_in_over_rest_and_its_result_comes_out(rest, submit, show):
    """By our paths and by the brief's."""
    job = rest.submit("background_task", 1, 2, path=submit)

    status, _, ended = rest.call("GET", show.format(job["id"]) + "?wait_s=15")
    assert (status, ended["state"], ended["result"]) == (200, "completed", 3)
    assert ended["origin"] == "api"


def test_a_wrong_call_is_refused_at_the_door(rest):
    """With everything that is wrong, and the nearest task."""
    status, headers, problem = rest.call(
        "POST", "/v1/jobs", {"task": "background_tusk", "priority": 11, "delay_s": -1}
    )
    assert status == 422
    assert headers["Content-Type"] == "application/problem+json"
    assert {error["pointer"] for error in problem["errors"]} == {"/task", "/priority", "/delay_s"}
    assert "background_task" in problem["detail"]

    status, _, problem = rest.call("POST", "/v1/jobs", {"task": "background_task", "args": [1]})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/kwargs/b")


def test_jobs_wait_run_fail_and_are_cancelled(rest):
    """The states of a job, over REST."""
    waits = rest.submit("background_task", 1, 2, delay_s=0.5)
    assert waits["state"] == "scheduled"
    fails = rest.submit("fail", max_retries=0)
    never = rest.submit("background_task", 1, 2, delay_s=3600)
    runs = rest.submit("nap", 30)
    poll(lambda: rest.call("GET", f"/v1/jobs/{runs['id']}")[2]["state"] == "running")

    assert rest.call("POST", f"/v1/jobs/{never['id']}/cancel")[0] == 200
    assert rest.ended(never["id"])["state"] == "cancelled"
    assert rest.ended(waits["id"])["result"] == 3
    failed = rest.ended(fails["id"])
    assert (failed["state"], failed["error"]["type"]) == ("failed", "RuntimeError")
    assert rest.call("POST", f"/v1/jobs/{runs['id']}/cancel")[0] == 202
    assert rest.ended(runs["id"])["state"] == "cancelled"
    status, _, problem = rest.call("POST", f"/v1/jobs/{runs['id']}/cancel")
    assert (status, problem["code"]) == (409, "too_late")


def test_the_readmes_python_runs_in_the_checkout(yard, services):
    """As in a second terminal beside `make run`."""
    told = run(yard, sys.executable, "-c", README_PYTHON, folder=CHECKOUT)

    assert told.split()[1:] == ["3", "scheduled"]


def test_the_readmes_python_runs_with_the_wheel_alone(yard, services, alone, tmp_path):
    """In an empty folder, with a module of tasks as the documents have it, and nothing of the checkout."""
    (tmp_path / "tasks.py").write_text(block("docs/tasks.md", "From another program"))

    told = run(yard, alone / "python", "-c", README_PYTHON, folder=tmp_path)

    job_id, *rest = told.split()
    assert rest == ["3", "scheduled"]
    shown = run(yard, alone / "taskyard", "status", job_id, folder=tmp_path)
    assert "completed" in shown
    version = run(yard, alone / "taskyard", "--version", folder=tmp_path)
    assert version == "taskyard, version 0.1.0\n"


def test_every_module_of_the_wheel_imports_with_what_it_needs(yard, alone, tmp_path):
    """Whatever a program or command calls, no dependency is missing; traces alone are an extra."""
    program = """
import importlib, pkgutil, sys, taskyard
assert taskyard.__file__.startswith(sys.prefix), taskyard.__file__
for module in pkgutil.walk_packages(taskyard.__path__, "taskyard."):
    try:
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(module.name, error.name)
"""
    missing = run(yard, alone / "python", "-c", program, folder=tmp_path).splitlines()

    assert [line for line in missing if not line.endswith(" opentelemetry")] == []
    assert all(line.startswith("taskyard.telemetry.tracing.") for line in missing)


def test_the_reference_page_has_a_command_of_each_operation_that_works(yard, services, rest):
    """Each is run by a shell, as it is shown, and finds its route, query and body as they should be."""
    with urllib.request.urlopen(f"{rest.url}/docs", timeout=30) as answer:
        page = answer.read().decode()
    shown = re.findall(r'<pre class="command">(.*?)</pre>', page, re.DOTALL)
    paths = rest.call("GET", "/openapi.json")[2]["paths"]
    assert len(shown) == sum(map(len, paths.values()))
    rest.submit("fail", id="invoice-815", max_retries=0)
    assert rest.ended("invoice-815")["state"] == "failed"
    order = {"id": "order-4711", "task": "background_task", "args": [1, 2]}
    schedule = {"name": "nightly-sum", "task": "nap", "cron": "@daily"}

    answers = {}
    for command in map(html.unescape, shown):
        # Again, if a command before has deleted them.
        rest.call("POST", "/v1/jobs", order)
        rest.ended(order["id"])
        rest.call("POST", "/v1/schedules", schedule)
        answers[command] = status_of(command, rest.url)

    # Some ask for what a job that has ended, or a dead letter that is a job, refuses; there is no replay.
    refused = {c: status for c, status in answers.items() if status not in (200, 201, 202, 204)}
    told = {404: "/replays/", 422: "/resubmit"}
    assert [c for c, status in refused.items() if status != 409 and told[status] not in c] == []
    assert len(refused) < 10, refused


def status_of(command: str, api_url: str) -> int:
    """Return the status that a shell's command is answered with, whatever follows."""
    # A stream has no end.
    script = f'curl() {{ command curl --dump-header - "$@"; }}\n{command}'
    environment = {**os.environ, "API_URL": api_url}
    with subprocess.Popen(
        ["bash", "-c", script], env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as shell:
        assert shell.stdout is not None
        line = shell.stdout.readline()
        os.killpg(shell.pid, signal.SIGKILL)
    return int(line.split()[1])


@pytest.mark.parametrize("example", ["publish_job.py", "dramatiq_producer.py", "submit.sh"])
def test_an_example_submits_a_job(yard, services, rest, example):
    """As it is, told no more than where the servers are; the job adds its two numbers."""
    command = ["bash"] if example.endswith(".sh") else [sys.executable]
    done = subprocess.run(
        [*command, str(CHECKOUT / "examples" / example), "2", "3"],
        env={**os.environ, **yard.env, "API_URL": services["api"].url},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stderr == ""
    told = done.stdout.splitlines()[-1]
    job_id = json.loads(told)["id"] if told.startswith("{") else told
    assert rest.ended(job_id)["result"] == 5


def test_what_waits_outlives_a_restart_of_every_service(yard, services, rest):
    """Waiting, ready and retrying jobs alike."""
    waits = rest.submit("background_task", 1, 2, delay_s=1)
    retries = rest.submit("flaky", 1)

    for service in services.values():
        service.restart()

    poll(lambda: services["api"].is_ready())
    assert rest.ended(waits["id"])["state"] == "completed"
    assert rest.ended(retries["id"])["state"] == "completed"


def test_all_metrics_are_as_prometheus_wants_them(yard, services, rest):
    """Promtool has no complaint about any of the three services."""
    ensure_installed([PROMETHEUS_PACKAGE])
    for task in ("background_task", "fail"):
        rest.ended(rest.submit(task, *((1, 2) if task == "background_task" else ()))["id"])
    yard.submit(tasks.echo, 1, queue=tasks.QUEUE).get(timeout=30)
    time_to_measure = time.monotonic() + 60

    def pages():
        found = {}
        for name, service in services.items():
            url = service.metrics_url if name != "api" else f"{service.url}/metrics"
            with urllib.request.urlopen(url, timeout=30) as answer:
                found[name] = answer.read()
        return found

    while b"taskyard_queue_ready_messages{" not in pages()["scheduler"]:
        assert time.monotonic() < time_to_measure
    for name, page in pages().items():
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
        assert (done.returncode, done.stderr + done.stdout) == (0, b""), name
        assert page.count(b"taskyard_") > 20
