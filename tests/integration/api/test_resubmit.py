"""Jobs that operators make, from a dead letter or a schedule, where another job is in the way."""

import pytest

from taskyard import task
from taskyard.catalogue import describe
from taskyard.job_creation import Defaults
from tests.integration.letters import strangers_entry

pytest_plugins = ["tests.integration.api_fixtures"]


@task(unique_for=60)
def alone(value: int) -> int:
    """Give back a number; another one like it is the same job."""
    return value


@pytest.fixture
def unique(store, catalogued):
    """The name of a task whose jobs are unique; who asks for another gets the first."""
    defaults = Defaults(queue=catalogued, priority=4, max_retries=2, timeout_s=60)
    store.declare([describe(alone, defaults)], [catalogued])
    return "alone"


@pytest.fixture
def letter(store, catalogued):
    """The id of a dead letter that never was a job."""
    store.index_dead_letters([(strangers_entry("stranger", catalogued), "{")])
    return "stranger"


def test_a_resubmission_like_a_living_job_is_that_job(api, unique, letter):
    """It is told of, as after any submission."""
    first = api.post("/v1/jobs", json={"task": unique, "args": [1]}).json

    answer = api.post(f"/v1/dead-letters/{letter}/resubmit", json={"task": unique, "args": [1]})

    assert (200, first["id"]) == (answer.status_code, answer.json.get("id"))
    assert answer.headers["Location"] == f"/v1/jobs/{first['id']}"
    assert api.get(f"/v1/dead-letters/{letter}").status_code == 404


def test_a_resubmission_that_is_refused_keeps_the_letter(api, letter):
    """409, which the document tells."""
    assert api.post("/v1/jobs", json={"task": "once", "args": [1]}).status_code == 202

    answer = api.post(f"/v1/dead-letters/{letter}/resubmit", json={"task": "once", "args": [1]})

    path = "/v1/dead-letters/{letter_id}/resubmit"
    assert (answer.status_code, answer.json["code"]) == (409, "not_unique")
    assert "409" in api.get("/openapi.json").json["paths"][path]["post"]["responses"]
    assert api.get(f"/v1/dead-letters/{letter}").status_code == 200


def test_who_may_not_read_is_not_shown_another_job(api, caller, letter):
    """Whose id they gave; they see its state."""
    api.post("/v1/jobs", json={"id": "theirs", "task": "echo", "args": ["private"]})
    operator = caller("jobs:operate", "jobs:submit")

    body = {"id": "theirs", "task": "echo", "args": ["mine"]}
    answer = operator.post(f"/v1/dead-letters/{letter}/resubmit", json=body)

    assert (answer.status_code, answer.json["id"]) == (200, "theirs")
    assert (answer.json["state"], set(answer.json)) == ("pending", {"id", "state", "links"})


def test_a_trigger_that_makes_no_job_says_so(api, unique):
    """200 with the job that is like it."""
    first = api.post("/v1/jobs", json={"task": unique, "args": [1]}).json
    asked = {"name": "often", "task": unique, "args": [1], "cron": "0 3 * * *"}
    assert api.post("/v1/schedules", json=asked).status_code == 201

    answer = api.post("/v1/schedules/often/trigger")

    assert (200, first["id"]) == (answer.status_code, answer.json["id"])


def test_a_dead_letter_is_not_resubmitted_as_the_job_of_a_fire_time(api, unique, letter):
    """The door for what was refused is no way round."""
    asked = {"task": unique, "args": [1], "id": "nightly:20261125T023000Z"}

    answer = api.post(f"/v1/dead-letters/{letter}/resubmit", json=asked)

    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "fire_id")
    assert api.get(f"/v1/dead-letters/{letter}").status_code == 200
