"""Every expression of rules and dashboards, put to a Prometheus that reads a working system."""

import json
import math
import re
import urllib.error
import urllib.request
import uuid
from contextlib import suppress

import pytest

from taskyard.rabbitmq.topology import INTAKE_QUEUE, SUBMIT_EXCHANGE, dead_queue
from tests import worker_tasks as tasks
from tests.monitoring import Expression, filled, metric, panels, rules, selectors
from tests.polling import poll
from tests.prometheus import Prometheus
from tools.install_packages import PROMETHEUS_PACKAGE, ensure_installed

#: Text that is in arguments, tags and errors only.
SECRET = "s3cr3t"

#: Selectors and panels that are rightly empty while all is well, and why.
EMPTY_WHEN_WELL = {
    'taskyard_http_requests_total{status=~"5..", route!~".+/events"}': "no request failed",
    'taskyard_http_requests_total{status=~"401|403"}': "nobody needs a key",
    'taskyard_http_requests_total{status="429"}': "nobody has a rate limit",
    "overview: Alerts that fire": "no alert need fire",
}
#: Empty as a whole, although its selectors are not.
EMPTY_PARTS = {
    "max(taskyard_store_memory_limit_bytes) > 0": "the Redis of the tests has no limit",
}


@pytest.fixture(scope="module")
def yard(make_yard):
    return make_yard(TASK_MODULES="tests.worker_tasks", RETRY_MAX_S="0.5")


@pytest.fixture(scope="module")
def services(yard):
    services = {"worker": yard.worker(), "scheduler": yard.scheduler(), "api": yard.api()}
    with yard.running(*services.values()):
        yield services


@pytest.fixture(scope="module")
def prometheus(rabbit, services, tmp_path_factory):
    ensure_installed([PROMETHEUS_PACKAGE])
    targets = {f"taskyard-{name}": f"127.0.0.1:{each.port}" for name, each in services.items()}
    targets["rabbitmq"] = f"127.0.0.1:{rabbit.prometheus_port}"
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets) as server:
        yield server


@pytest.fixture(scope="module")
def load(yard, services):
    unserved = f"{yard.queue}-unserved"
    yard.queues.append(unserved)  # to be removed with the others; the worker has its own list
    yard.submit(
        tasks.add, 1, 2, queue=unserved
    )  # others are pending too briefly to be seen for certain
    yield Load(yard, services["api"].url)
    with yard.channel() as channel:  # other tests look at what was refused
        channel.queue_purge(dead_queue(INTAKE_QUEUE))


class Load:
    """A little of all that may happen to jobs and submissions, a round at a time."""

    def __init__(self, yard, url):
        self.yard = yard
        self.url = url
        self.ids: list[str] = []
        self.has_crashed = False
        self.has_schedule = False

    def round(self):
        """Hand over jobs that return, fail, retry, come late, crash, come twice or are refused."""
        yard = self.yard
        for _ in range(5):
            self._post("test.add", 1, 2, tags=[SECRET])
        self._post("test.echo", SECRET, delay_s=0.1)
        self._post("test.flaky", 1)
        self._post("test.hopeless")
        if not self.has_crashed:  # once: a child that dies often is started again ever later
            self._post("test.crash", "kill", 1)
            self.has_crashed = True
        self._post(f"unheard-of-{uuid.uuid4()}")
        if not self.has_schedule:
            self._post_to(
                "/v1/schedules", {"name": "often", "every_s": 1, **self._job("test.add", 1)}
            )
            self.has_schedule = True
        self._submit({"task": "test.add", "args": [1]}, {"task": f"unheard-of-{uuid.uuid4()}"})
        twice = yard.body("test.add", 1)
        for body in (twice, twice, b"{" + SECRET.encode(), yard.body(f"new-{uuid.uuid4()}")):
            yard.publish(body, message_id=str(uuid.uuid4()))
        self._get(f"/v1/jobs/{self.ids[-1]}?wait_s=1")
        self._get(f"/{uuid.uuid4()}")
        self._get(f"/v1/jobs/{uuid.uuid4()}")

    def _job(self, task, *args):
        return {"task": task, "args": args, "queue": self.yard.queue}

    def _post(self, task, *args, **fields):
        answer = self._post_to("/v1/jobs", {**self._job(task, *args), **fields})
        if answer is not None:
            self.ids.append(answer["id"])

    def _post_to(self, path, body):
        request = urllib.request.Request(
            f"{self.url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with (
            suppress(urllib.error.HTTPError),
            urllib.request.urlopen(request, timeout=30) as answer,
        ):
            return json.load(answer)

    def _submit(self, *bodies):
        with self.yard.channel() as channel:
            for body in bodies:
                channel.basic_publish(SUBMIT_EXCHANGE, self.yard.queue, json.dumps(body).encode())

    def _get(self, path):
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"{self.url}{path}", timeout=30).close()


def test_every_expression_has_an_answer(prometheus, load):
    """No panel, no rule and no selector in an alert is empty where there is something to show."""
    expected = [
        *(
            Expression(w, t)
            for w, t in panels()
            if w not in EMPTY_WHEN_WELL and t not in EMPTY_PARTS
        ),
        *(Expression(r["record"], r["expr"]) for r in rules() if "record" in r),
        *(Expression(r["record"], r["record"]) for r in rules() if "record" in r),
        *(Expression(r["alert"], s) for r in rules() if "alert" in r for s in selectors(r["expr"])),
    ]
    missing = [each for each in expected if each.text not in EMPTY_WHEN_WELL]
    assert len(missing) > 100

    def all_answered():
        nonlocal missing
        load.round()
        missing = [each for each in missing if not _values(prometheus, each.text)]
        return not missing

    with suppress(AssertionError):  # which would not tell what is missing
        poll(all_answered, 60)
    assert missing == []


def test_every_expression_can_be_evaluated(prometheus, load):
    """Those that are empty while all is well too; and Prometheus itself has no complaint about a rule."""
    for _, text in [*panels(), *(Expression("", rule["expr"]) for rule in rules())]:
        prometheus.query(text)

    def all_tried():
        told = prometheus.rules()
        return [] if "unknown" in {rule["health"] for rule in told} else told

    told = poll(all_tried)

    assert {rule["health"] for rule in told} == {"ok"}, told
    assert len(rules()) == len(told)


def test_no_selector_is_of_an_unknown_metric(prometheus, services, load):
    """A foreign metric is known to Prometheus; ours may have no series yet, but then its family is told."""
    load.round()
    texts = [text for _, text in panels()] + [filled(rule["expr"]) for rule in rules()]
    wanted = {metric(each) for text in texts for each in selectors(text)} - EMPTY_WHEN_WELL.keys()

    def unknown():
        families = {name for page in _pages(services).values() for name in _families(page)}
        return {name for name in wanted - prometheus.names() if name not in families}

    assert poll(lambda: unknown() <= {"ALERTS"}), unknown()


def _values(prometheus, text):
    return [value for _, value in prometheus.query(text) if not math.isnan(value)]


def _pages(services):
    pages = {}
    for name, service in services.items():
        with urllib.request.urlopen(service.metrics_url, timeout=30) as answer:
            pages[name] = answer.read().decode()
    return pages


def _families(page):
    """Return the names that a page's families may have series of."""
    for kind in re.findall(r"^# TYPE (\S+) (\w+)", page, re.M):
        yield kind[0]
        yield from (kind[0] + suffix for suffix in ("_bucket", "_sum", "_count"))
