"""Taking jobs away, and summing up what is there, over REST."""

import pytest

pytest_plugins = ["tests.integration.api_fixtures"]


def test_a_job_that_has_ended_is_removed(api, submit, worker):
    """Its record is gone at once."""
    job_id = submit()
    worker.run(job_id)

    answer = api.delete(f"/v1/jobs/{job_id}")

    assert (answer.status_code, answer.data) == (204, b"")
    assert api.get(f"/v1/jobs/{job_id}").status_code == 404
    assert api.delete(f"/v1/jobs/{job_id}").status_code == 404


def test_a_job_that_lives_is_not_removed(api, submit, conforms):
    """It has to be cancelled first."""
    answer = api.delete(f"/v1/jobs/{submit()}")

    assert (
        answer.status_code,
        answer.json["code"],
        answer.json["state"],
    ) == (409, "too_early", "pending")
    assert conforms(answer.json, "Problem") == []


def test_a_queue_is_purged(api, submit, conforms, catalogued):
    """First counted, then done."""
    for _ in range(3):
        submit()
    path = f"/v1/queues/{catalogued}/purge"

    counted = api.post(path, json={"dry_run": True})
    done = api.post(path)

    assert conforms(counted.json, "Purge") == []
    assert [(answer.json["cancelled"], answer.json["left"]) for answer in (counted, done)] == [
        (0, 3),
        (3, 0),
    ]
    assert api.get("/v1/stats").json["queues"][catalogued]["cancelled"] == 3


@pytest.mark.parametrize(
    ("name", "body", "status"), [("nothing", {}, 404), (None, {"dry": 1}, 422)]
)
def test_a_wrong_purge_is_refused(api, catalogued, name, body, status):
    """An unknown queue, an unknown field."""
    answer = api.post(f"/v1/queues/{name or catalogued}/purge", json=body)

    assert answer.status_code == status


def test_the_system_is_summed_up(api, submit, conforms, worker, catalogued):
    """Jobs by state and queue, submissions, workers."""
    submit()
    worker.start(submit())

    stats = api.get("/v1/stats").json

    assert conforms(stats, "Stats") == []
    assert (stats["states"]["pending"], stats["queues"][catalogued]["running"]) == (1, 1)
    assert pytest.approx(stats["submitted_per_s"], abs=0.001) == 2 / 60
    assert (stats["workers"]["alive"], stats["workers"]["busy"]) == (1, 1)
