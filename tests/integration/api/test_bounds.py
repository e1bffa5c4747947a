"""What an answer may cost: memory, time and bytes have bounds, whatever is sent and stored."""

import time
from typing import Any

import pytest

from services.api.http import paging
from taskyard import task
from taskyard.catalogue import describe
from taskyard.job_creation import Defaults
from taskyard.store.replays import NewReplay
from tests.integration.letters import strangers_entry

pytest_plugins = ["tests.integration.api_fixtures"]

#: Above what any refusal may take, in bytes; `docs/protocol.md` states it.
MAX_REFUSAL_BYTES = 128 * 1024
#: Wrong items that fit into the largest body of one job, and of a batch.
MANY, MILLION = 50_000, 1_000_000


@task
def total(numbers: list[int]) -> int:
    """Add numbers up."""
    return sum(numbers)


@pytest.fixture
def totals(store, catalogued) -> str:
    """The name of a task that takes a list of numbers."""
    defaults = Defaults(queue=catalogued, priority=4, max_retries=2, timeout_s=60)
    store.declare([describe(total, defaults)], [catalogued])
    return total.name


def _submit(api, wrong):
    return api.post("/v1/jobs", json={"task": total.name, **wrong})


def _batch(api, wrong):
    return api.post("/v1/jobs/batch", json={"jobs": [{"task": total.name, **wrong}] * 2})


def _schedule(api, wrong):
    fields = {"name": "s", "every_s": 60, "task": total.name}
    return api.put("/v1/schedules/s", json={**fields, **wrong})


def _change(api, wrong):
    later = {"task": total.name, "args": [[]], "delay_s": 3600}
    job_id = api.post("/v1/jobs", json=later).json["id"]
    return api.patch(f"/v1/jobs/{job_id}", json=wrong)


def _resubmit(api, wrong):
    return api.post("/v1/dead-letters/l/resubmit", json={"task": total.name, **wrong})


@pytest.fixture
def stranger(store, catalogued) -> None:
    """A dead letter that never was a job, to be resubmitted."""
    store.index_dead_letters([(strangers_entry("l", catalogued), "{")])


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize("door", [_submit, _batch, _schedule, _change, _resubmit])
@pytest.mark.parametrize(
    "wrong",
    [
        {"args": [["x"] * MANY]},
        {"args": [[]], "kwargs": {f"{n}": 1 for n in range(MANY // 4)}},
        {"args": [["x" * 200_000]]},
        {"args": [[]], "kwargs": {"x" * 200_000: 1}},
        {f"{n}": 1 for n in range(MANY // 4)},
        {"x" * 200_000: 1},
        {"tags": ["x" * 200] * (MANY // 60)},
    ],
    ids=["items", "names", "long item", "long name", "fields", "long field", "tags"],
)
def test_a_refusal_is_short_however_much_is_wrong(api, conforms, totals, door, wrong):
    """It lists a hundred faults at most."""
    answer = door(api, wrong)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert conforms(answer.json, "Problem") == []
    assert 1 <= len(answer.json["errors"]) <= 101
    assert len(answer.data) < MAX_REFUSAL_BYTES


def test_a_job_of_a_batch_that_is_too_large_is_not_looked_into(api, totals):
    """A batch may be sixteen times as large as a job, and faults of all that is in it would cost seconds."""
    fine = {"task": totals, "args": [[1, 2]]}
    large = {"task": totals, "args": [["x"] * (MILLION - 100_000)], "priority": 77}

    began = time.process_time()
    answer = api.post("/v1/jobs/batch", json={"jobs": [fine, large]})
    took_s = time.process_time() - began

    faults = [(each["pointer"], each["code"]) for each in answer.json["errors"]]
    assert (answer.status_code, faults) == (413, [("/jobs/1", "too_large")])
    # The processor's time: 20 s where faults are made of all items.
    assert took_s < 5


def _walk(api, path: str, next_name: str = "cursor") -> list[list[dict[str, Any]]]:
    """Return the items of all pages."""
    pages = []
    query: dict[str, str] | None = {}
    while query is not None:
        page = api.get(path, query_string=query).json
        pages.append(page["items"])
        query = {"cursor": page[next_name]} if page[next_name] else None
    return pages


def test_a_page_of_jobs_ends_at_some_bytes(api, submit, worker):
    """So a few requests for results do not fill the memory."""
    ids = [submit(id=f"job-{n}") for n in range(12)]
    for each in ids:
        worker.run(each, result=f'"{"x" * 900_000}"')

    pages = _walk(api, "/v1/jobs")

    assert [[each["id"] for each in page] for page in pages] == [ids[:2:-1], ids[2::-1]]


@pytest.mark.parametrize(
    ("path", "next_name"),
    [
        ("/v1/schedules", "cursor"),
        ("/v1/dead-letters/replays", "cursor"),
        ("/v1/dead-letters", "cursor"),
        ("/v1/dead-letters/groups", "cursor"),
        ("/v1/audit-log", "cursor"),
    ],
)
def test_a_page_of_any_list_ends_at_some_bytes(
    api, store, catalogued, monkeypatch, path, next_name
):
    """Each comes once, and never an empty page."""
    for n in range(5):
        fields = {"every_s": 60, "task": "echo", "args": ["x" * 2_000]}
        assert api.put(f"/v1/schedules/s{n}", json=fields).status_code == 201
        new = NewReplay(id=f"r{n}", request='{"filter": {}}', rate_per_s=0)
        store.start_replay(new)
        store.index_dead_letters(
            [(strangers_entry(f"l{n}", catalogued, fingerprint=f"f-l{n}"), "{")]
        )
    whole = _walk(api, path, next_name)
    monkeypatch.setattr(paging, "PAGE_BYTES", 100)

    pages = _walk(api, path, next_name)

    assert [[each] for each in whole[0]] == pages
    assert (len(whole), len(pages)) == (1, 5)


def test_a_query_s_refusal_is_short(api):
    """Of names that are not known as of any other faults."""
    answer = api.get("/v1/jobs?" + "&".join(f"{n}" for n in range(1000)))

    assert (answer.status_code, len(answer.json["errors"])) == (422, 101)
    assert answer.json["errors"][-1]["code"] == "more"
