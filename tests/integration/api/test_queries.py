"""Queries: what a route does not take is refused, on every route alike."""

import pytest

from services.api.openapi.document import OPEN_TO_ANY_QUERY

pytest_plugins = ["tests.integration.api_fixtures"]


def operations(api):
    """Return method and path of every operation on jobs and the like, and something in place of ids."""
    for path, methods in api.get("/openapi.json").json["paths"].items():
        for method in methods if path not in OPEN_TO_ANY_QUERY else ():
            yield method.upper(), path.replace("{", "").replace("}", "")


def test_no_route_takes_a_parameter_that_it_does_not_have(api):
    """It would be ignored: a typing error would let all pass, and nobody would know."""
    answers = {
        (method, path): api.open(f"{path}?colour=red", method=method)
        for method, path in operations(api)
    }

    assert len(answers) >= 50
    assert {
        route: (answer.status_code, answer.get_data(as_text=True))
        for route, answer in answers.items()
        if answer.status_code != 422
        or [(fault["parameter"], fault["code"]) for fault in answer.json["errors"]]
        != [("colour", "extra_forbidden")]
    } == {}


def test_every_operation_tells_so(api):
    """422 is in the document of each, and only of these."""
    paths = api.get("/openapi.json").json["paths"]

    refusing = {
        path
        for path, each in paths.items()
        if all("422" in told["responses"] for told in each.values())
    }
    assert set(paths) - OPEN_TO_ANY_QUERY == refusing


@pytest.mark.parametrize("path", sorted(OPEN_TO_ANY_QUERY))
def test_probes_and_pages_take_any(api, path):
    """A load balancer may add what it likes to the path of a health check."""
    assert api.get(f"{path}?nocache=1").status_code != 422


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("/v1/jobs?stat=failed", "; did you mean 'state'?"),
        ("/v1/jobs/x?wait=5", "; did you mean 'wait_s'?"),
        ("/v1/dead-letters?errortype=KeyError", "; did you mean 'error_type'?"),
        ("/v1/dead-letters?x=1", ""),
        ("/v1/tasks?limit=1", ""),
    ],
)
def test_the_nearest_parameter_is_named(api, query, hint):
    """Where there is one like it."""
    (fault,) = api.get(query).json["errors"]

    assert fault["detail"] == f"there is no such parameter here{hint}"


def test_a_parameter_is_given_once(api):
    """Which of two counts would be a guess; only a list may be told one by one."""
    twice = api.get("/v1/jobs?limit=1&limit=2&state=failed&state=pending")
    listed = api.get("/v1/jobs?state=failed&state=pending")

    assert [(fault["parameter"], fault["code"]) for fault in twice.json["errors"]] == [
        ("limit", "duplicate_name")
    ]
    assert (twice.status_code, listed.status_code) == (422, 200)


def test_head_is_as_get_and_options_takes_anything(api):
    """OPTIONS says only which methods there are."""
    assert api.head("/v1/jobs?colour=red").status_code == 422
    assert api.head("/v1/jobs?limit=1").status_code == 200
    assert api.options("/v1/jobs?colour=red").status_code == 200
