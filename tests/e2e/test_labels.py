"""No label of a metric takes an id or what a stranger chose: he cannot make series, whatever he sends."""

import re
import urllib.request
from collections import Counter
from contextlib import suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from taskyard.rabbitmq.topology import INTAKE_QUEUE, dead_queue
from tests import worker_tasks as tasks
from tests.polling import poll
from tests.strangers import MARK, Strangers

#: Strangers of one round; each sends dozens of names that nobody has heard of.
STRANGERS = 8
#: New series that one metric may have after a round: those of words that just had not come up before.
FEW = 5
#: Pause between two looks at all services: scraped all the time, they would do nothing else. Seconds.
LOOK_S = 0.1
#: Series of one metric, and values of one label, at the most: there are two queues and a dozen tasks.
MAX_SERIES = 100
MAX_VALUES = 40
#: What an id looks like, and a number that counts on.
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{12}|\d{5}")

Series = tuple[str, str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="module")
def yard(make_yard):
    return make_yard(DEAD_LETTER_MAX="1000", UNKNOWN_TASK_TTL="1")


@pytest.fixture(scope="module")
def services(yard):
    services = {"worker": yard.worker(), "scheduler": yard.scheduler(), "api": yard.api()}
    with yard.running(*services.values()):
        poll(yard.store.tasks)
        yield services


@pytest.fixture(scope="module")
def rounds(yard, services):
    """The series of all services after one round of strangers, and after one more; and the strangers."""
    strangers = Strangers(yard, services["api"].port)
    found = []
    for number in (1, 2):
        strangers.round(STRANGERS)
        await_counted(services, number * STRANGERS)
        for job_id in strangers.ids:
            yard.ended(job_id)
        found.append({key for key in scraped(services) if "le" not in dict(key[2])})
    yield *found, strangers
    with yard.channel() as channel:  # other tests look at what was refused
        channel.queue_purge(dead_queue(INTAKE_QUEUE))


def await_counted(services, strangers: int) -> None:
    """Return once all that so many strangers sent is counted."""
    with suppress(AssertionError):  # which would not tell what is missing
        poll(lambda: not not_seen(services, strangers), 40, pause_s=LOOK_S)
    assert not_seen(services, strangers) == {}


def not_seen(services, strangers: int) -> dict[tuple[str, str], float]:
    """Return of what so many strangers sent how much is not counted yet; empty if it all is."""
    wanted: dict[tuple[str, str], float] = {
        ("taskyard_intake_messages_total", "refused"): 3 * strangers,
        ("taskyard_schedule_fires_total", "fired"): strangers,
        ("taskyard_dead_letters_kept", "other"): STRANGERS,  # indexed seldom: the first round's
        ("taskyard_dead_letters_total", "unknown_task"): strangers,
        ("taskyard_dead_letters_total", "undecodable"): strangers,
        ("taskyard_dead_letters_total", "retries_exhausted"): strangers,
    }
    for (_, name, labels), value in scraped(services).items():
        for _, text in labels:
            if (name, text) in wanted:
                wanted[name, text] -= value
    return {key: count for key, count in wanted.items() if count > 0}


def scraped(services) -> dict[Series, float]:
    """Return the value of every series of every service."""
    found = {}
    for service in services.values():
        with urllib.request.urlopen(service.metrics_url, timeout=30) as answer:
            page = answer.read().decode()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found[service.name, sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def test_no_label_holds_an_id_or_a_strangers_text(yard, rounds):
    """Labels are names of tasks and queues, and words of short lists."""
    _, after, strangers = rounds
    assert len(strangers.ids) == 2 * 2 * STRANGERS
    assert strangers.requests > 300
    wrong = [
        (service, name, label, value)
        for service, name, labels in after
        for label, value in labels
        if MARK in value.lower()
        or value in strangers.ids
        or _ID.search(value.replace(yard.queue, "").replace(tasks.QUEUE, ""))
    ]
    assert wrong == []


def test_strangers_make_no_series(rounds):
    """A second round of them adds nothing that grows with their number."""
    before, after, _ = rounds

    grown = Counter((service, name) for service, name, _ in after - before)

    assert {each: count for each, count in grown.items() if count > FEW} == {}


def test_series_and_values_are_few(rounds):
    """However much was sent, a metric has few series, and a label few values."""
    _, after, _ = rounds

    sizes = Counter((service, name) for service, name, _ in after)
    values = Counter(label for label, _ in {pair for _, _, labels in after for pair in labels})

    assert {name: size for name, size in sizes.items() if size > MAX_SERIES} == {}
    assert {label: count for label, count in values.items() if count > MAX_VALUES} == {}
