"""Taking jobs away, and summing up what is there, over REST."""

import pytest

pytest_plugins = ["tests.integration.api_fixtures"]


def test_a_job_that_has_ended_is_removed(api, submit, worker):
    """Its record is gone at once."""
    job_id = submit()
    worker.run(job_id)

    answer = api.delete(f"/v1/jobs/{job_id}")

    assert (204, b"") == (answer.status_code, answer.data)
    assert 404 == api.get(f"/v1/jobs/{job_id}").status_code
    assert 404 == api.delete(f"/v1/jobs/{job_id}").status_code


def test_a_job_that_lives_is_not_removed(api, submit, conforms):
    """It has to be cancelled first."""
    answer = api.delete(f"/v1/jobs/{submit()}")

    assert (409, "too_early", "pending") == (
        answer.status_code,
        answer.json["code"],
        answer.json["state"],
    )
    assert [] == conforms(answer.json, "Problem")


def test_a_queue_is_purged(api, submit, conforms, catalogued):
    """First counted, then done."""
    for _ in range(3):
        submit()
    path = f"/v1/queues/{catalogued}/purge"

    counted = api.post(path, json={"dry_run": True})
    done = api.post(path)

    assert [] == conforms(counted.json, "Purge")
    assert [(0, 3), (3, 0)] == [
        (answer.json["cancelled"], answer.json["left"]) for answer in (counted, done)
    ]
    assert 3 == api.get("/v1/stats").json["queues"][catalogued]["cancelled"]


@pytest.mark.parametrize(
    ("name", "body", "status"), [("nothing", {}, 404), (None, {"dry": 1}, 422)]
)
def test_a_wrong_purge_is_refused(api, catalogued, name, body, status):
    """An unknown queue, an unknown field."""
    answer = api.post(f"/v1/queues/{name or catalogued}/purge", json=body)

    assert status == answer.status_code


def test_the_system_is_summed_up(api, submit, conforms, worker, catalogued):
    """Jobs by state and queue, submissions, workers."""
    submit()
    worker.start(submit())

    stats = api.get("/v1/stats").json

    assert [] == conforms(stats, "Stats")
    assert (1, 1) == (stats["states"]["pending"], stats["queues"][catalogued]["running"])
    assert 2 / 60 == pytest.approx(stats["submitted_per_s"], abs=0.001)
    assert (1, 1) == (stats["workers"]["alive"], stats["workers"]["busy"])
