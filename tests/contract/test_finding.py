"""What `find` and `count` promise: order, filters, cursors that hold while jobs come and go."""

import pytest

from taskyard.store.finding import PAGE_BYTES, Filter
from tests.contract.jobs import HOUR_MS, claim, new_job, pending, running, settle


def record(store, *ids: str, **fields) -> list[str]:
    """Record jobs; return their ids."""
    store.create([new_job(job_id, **fields) for job_id in ids])
    return list(ids)


def found(store, cursor=None, limit=50, order="created", **wanted) -> list[str]:
    page = store.find(Filter(**wanted), cursor=cursor, limit=limit, order=order)
    return [job.id for job in page.jobs]


def walk(store, limit, order="created", between=lambda: None, **wanted) -> list[str]:
    """Return the ids of all pages."""
    ids, cursor = [], None
    while True:
        page = store.find(Filter(**wanted), cursor=cursor, limit=limit, order=order)
        ids += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            return ids
        between()


def test_newest_come_first_and_ties_go_by_id(store):
    """Jobs of the same millisecond have an order too."""
    record(store, "old", created_at_ms=1_000)
    record(store, "B", "a", "c", "aa", created_at_ms=2_000)
    record(store, "new", created_at_ms=3_000)

    assert found(store) == ["new", "c", "aa", "a", "B", "old"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_pages_have_every_job_once(store, limit):
    """Whatever their size, also within one millisecond."""
    record(store, *(f"tied-{number:02}" for number in range(20)), created_at_ms=5_000)
    record(store, *(f"new-{number:02}" for number in range(5)))

    assert found(store) == walk(store, limit)
    assert len(found(store)) == 25


def test_pages_do_not_shift_when_jobs_come_and_go(store):
    """New ones are not seen by who has begun, and one that the cursor stands at may go."""
    ids = record(store, *(f"job-{number:02}" for number in range(9)), created_at_ms=5_000)
    page = store.find(Filter(), limit=3)
    assert [job.id for job in page.jobs] == ["job-08", "job-07", "job-06"]

    record(store, "newest")
    store.withdraw(["job-06", "job-07"])

    assert ids[2:6][::-1] == found(store, cursor=page.cursor, limit=4)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"states": ("pending",)}, ["b"]),
        ({"states": ("scheduled", "completed")}, ["c", "a"]),
        ({"queue": "other"}, ["c"]),
        ({"task": "mul"}, ["b"]),
        ({"task": "mul", "queue": "other"}, []),
        ({"created_after_ms": 2_000}, ["c", "b"]),
        ({"created_before_ms": 2_000}, ["a"]),
        ({"created_after_ms": 1_001, "created_before_ms": 3_000}, ["b"]),
        ({"tag": "none"}, []),
        ({"origin": "amqp"}, ["c", "b", "a"]),
    ],
)
def test_filters(store, wanted, ids):
    """Each lets pass what it says, and together they let pass what all do."""
    running(store, job_id="a", created_at_ms=1_000)
    settle(store, "a", claim(store, "a").token)
    pending(store, job_id="b", task="mul", created_at_ms=2_000)
    pending(store, job_id="c", queue="other", delay_ms=HOUR_MS, created_at_ms=3_000)

    assert found(store, **wanted) == ids
    assert _counted(store, **wanted) == (len(ids), True)


def test_errors_are_found_by_their_text(store):
    """In whatever case; of the latest attempt."""
    job_id, token = running(store)
    error = '{"type":"LookupError","message":"it was Empty","traceback":"","reason":"error"}'
    settle(store, job_id, token, "failed", error=error)
    pending(store)

    assert found(store, error="lookuperror: IT was") == [job_id]
    assert found(store, error="full") == []


def test_waiting_jobs_come_in_the_order_of_their_times(store):
    """The soonest first, in pages too; those that do not wait are left out."""
    for number in range(7):
        pending(store, job_id=f"job-{number}", delay_ms=HOUR_MS - number // 2 * 1000)
    pending(store)

    ids = ["job-6", "job-4", "job-5", "job-2", "job-3", "job-0", "job-1"]
    assert walk(store, 50, order="run_at") == ids
    assert walk(store, 2, order="run_at") == ids


def test_a_call_looks_at_a_bounded_number_of_jobs(store):
    """A page may be short or empty, but its cursor goes on to all there is."""
    record(store, "needle", task="rare", created_at_ms=1_000)
    for start in range(0, 5_000, 500):
        store.create([new_job() for _ in range(start, start + 500)])

    page = store.find(Filter(task="rare"))

    assert (page.jobs, page.cursor is not None) == ([], True)
    assert walk(store, 50, task="rare") == ["needle"]
    assert _counted(store) == (5_001, True)
    assert _counted(store, task="rare") == (1, True)


def test_running_jobs_are_found_at_once_however_many_others_there_are(store):
    """They are looked for among what workers hold; in the same order and pages as any."""
    ids = [running(store, owner=owner, created_at_ms=1_000)[0] for owner in ("w1", "w2", "w2")]
    for _ in range(5):
        store.create([new_job() for _ in range(500)])

    assert sorted(ids, reverse=True) == found(store, states=("running",))
    assert sorted(ids, reverse=True) == walk(store, 1, states=("running",))
    assert found(store, states=("running",), task="other") == []
    assert _counted(store, states=("running",)) == (3, True)


def big(store, job_id: str, result_bytes: int, **fields) -> str:
    """Record a job that has returned so much; return its id."""
    _, token = running(store, job_id=job_id, **fields)
    settle(store, job_id, token, result=f'"{"x" * result_bytes}"')
    return job_id


def test_a_page_ends_at_some_bytes(store):
    """It is never empty for that: one that is larger comes alone."""
    big(store, "small", 10, created_at_ms=1_000)
    for number in range(4):
        big(store, f"job-{number}", PAGE_BYTES // 3, created_at_ms=2_000)
    big(store, "huge", PAGE_BYTES + 10, created_at_ms=3_000)

    pages: list[list[str]] = []
    cursor = None
    while cursor is not None or not pages:
        page = store.find(Filter(), cursor=cursor, limit=50)
        ids = store.find_ids(Filter(), cursor=cursor, limit=50)
        pages.append([job.id for job in page.jobs])
        assert (ids.ids, ids.cursor) == (pages[-1], page.cursor)
        cursor = page.cursor

    assert pages == [["huge"], ["job-3", "job-2"], ["job-1", "job-0", "small"]]


def test_a_rare_tag_is_found_among_large_jobs(store):
    """Of those that are only compared, no results are read; a page may end for what was compared too."""
    pending(store, job_id="rare", tags=["rare"], created_at_ms=1_000)
    for number in range(6):
        big(store, f"job-{number}", PAGE_BYTES // 3, created_at_ms=2_000)

    page = store.find(Filter(tag="rare"), limit=50)

    assert ([job.id for job in page.jobs], page.cursor) == (["rare"], None)


def _counted(store, **wanted):
    answer = store.count(Filter(**wanted))
    return answer.count, answer.is_complete
