"""API keys over HTTP: who gets in, what for, how often, and what strangers try."""

import base64
import hmac
import logging
import re
import time
from typing import Any

import pytest
from msgspec.structs import replace

from services.api.app import create_app
from services.api.auth import keyring, permissions, wrong_keys
from services.api.auth.principal import who
from taskyard import keys
from taskyard.errors import StoreUnavailable
from taskyard.keys import new_key, new_token
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

#: Something for each part of a path, which need not be there.
PARTS = {"job_id": "nobody", "name": "nothing", "letter_id": "nobody", "replay_id": "nobody"}


@pytest.fixture
def app(settings, dispatcher):
    """An application, to look at its routes."""
    return create_app(settings, dispatcher)


def routes(app):
    """Return method and template of each route."""
    return [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def path(template):
    return re.sub(r"<(\w+)>", lambda part: PARTS[part[1]], template)


def told(calls, function):
    """Return a function that does the same, and whose calls are listed by their arguments."""

    def call(*args):
        calls.append(args)
        return function(*args)

    return call


def until_refused(user):
    """Return the first answer that lists no jobs."""

    def answer():
        found = user.get("/v1/jobs")
        return None if found.status_code == 200 else found

    found: Any = poll(answer)
    return found


def test_every_route_says_what_it_needs(app, settings):
    """It is in the table, or among those that are open; and the table has nothing else."""
    always_open = permissions.open_paths(replace(settings, api_metrics_open=False))
    guarded = {f"{method} {rule}" for method, rule in routes(app) if rule not in always_open}

    assert set(permissions.RULES) == guarded
    assert always_open <= {rule for _, rule in routes(app)}


def test_a_route_that_says_nothing_is_for_unbound_admins(app, caller):
    """Who forgets a line in the table has closed the route."""

    @app.get("/v1/forgotten")
    def forgotten():
        return {}

    mine = app.test_client()
    for scope, status in (("jobs:read", 403), ("jobs:operate", 403), ("admin", 200)):
        sent = {"Authorization": f"Bearer {caller(scope).token}"}
        assert mine.get("/v1/forgotten", headers=sent).status_code == status


def test_every_route_refuses_who_has_no_key(settings, app, api, caller):
    """As soon as there is one."""
    caller("admin")

    for method, rule in routes(app):
        answer = api.open(path(rule), method=method)
        if rule in permissions.open_paths(settings):
            assert answer.status_code in (200, 503), rule
            continue
        assert (answer.status_code, answer.json["code"]) == (401, "key_required"), rule
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="taskyard"'


def test_every_route_refuses_a_key_that_lacks_one_of_its_scopes(settings, app, caller):
    """And names the scope; with all of them it lets in."""
    held = [{"jobs:submit"}, {"jobs:read"}, {"jobs:operate"}, {"jobs:operate", "jobs:submit"}]
    users = [(has, caller(*sorted(has))) for has in held]

    for method, rule in routes(app):
        if rule in permissions.open_paths(settings):
            continue
        needed = permissions.RULES[f"{method} {rule}"].scopes
        for has, user in users:
            lacking = [each for each in needed if each not in has]
            answer = user.open(path(rule), method=method)
            answer.close()
            if not lacking:
                assert answer.status_code not in (401, 403), (method, rule)
                continue
            assert (403, "missing_scope", lacking[0]) == (
                answer.status_code,
                answer.json["code"],
                answer.json["scope"],
            ), (method, rule)
            assert lacking[0] in answer.json["detail"]
            told = answer.headers["WWW-Authenticate"]
            assert f'error="insufficient_scope", scope="{lacking[0]}"' in told


def test_admin_has_all_scopes(app, caller):
    """Of every route."""
    admin = caller("admin")

    for method, rule in routes(app):
        answer = admin.open(path(rule), method=method)
        answer.close()
        assert answer.status_code not in (401, 403), (method, rule)


def test_head_and_options_are_no_way_in(api, caller):
    """HEAD is as GET; OPTIONS tells only the methods."""
    caller("admin")

    assert api.head("/v1/jobs").status_code == 401
    assert caller("jobs:submit").open("/v1/jobs", method="HEAD").status_code == 403
    answer = api.options("/v1/jobs")
    assert (answer.status_code, answer.data) == (200, b"")


def test_without_any_key_nothing_is_asked_for(api):
    """From this machine."""
    assert api.get("/v1/jobs").status_code == 200
    assert api.get("/v1/jobs", headers={"Host": "evil.example"}).status_code == 403
    assert api.get("/v1/jobs", headers={"X-Forwarded-For": "10.0.0.1"}).json["code"] == "not_local"
    assert api.post("/v1/jobs", headers={"Origin": "http://x.example"}).json["code"] == "not_local"


def test_metrics_are_told_by_names_that_are_ours(client_of, settings, dispatcher, caller):
    """Also where keys are needed elsewhere; and by any name to who has a key."""
    scraper = caller("metrics:read")
    named = replace(settings, metrics_hosts=("api",))
    api = client_of(named, dispatcher)

    def status(host, **headers):
        return api.get("/metrics", headers={"Host": host, **headers}).status_code

    assert [status(host) for host in ("api:5000", "localhost", "127.0.0.1:5000")] == [200] * 3
    assert api.get("/metrics", headers={"Host": "evil.example"}).json["code"] == "not_local"
    assert [status(host) for host in ("api.evil.example", "10.0.0.1", "")] == [403] * 3
    assert status("evil.example", Authorization=f"Bearer {scraper.token}") == 200
    assert status("evil.example", Authorization="Bearer ty_nobody") == 401


def test_with_a_key_any_name_and_way_will_do(caller):
    """Proxies forward it, under the names that they have."""
    user = caller("jobs:read")

    sent = {"Host": "jobs.example", "X-Forwarded-For": "10.0.0.1", "Origin": "https://x.example"}
    assert user.get("/v1/jobs", headers=sent).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer {}"),
        ("Authorization", "bearer {}"),
        ("Authorization", "BEARER   {}  "),
        ("X-API-Key", "{}"),
    ],
)
def test_a_key_is_sent_in_either_header(api, caller, header):
    """The scheme in any case, as HTTP has it."""
    name, text = header

    sent = {name: text.format(caller("jobs:read").token)}
    assert api.get("/v1/jobs", headers=sent).status_code == 200


def test_a_key_of_ones_own_making_works(api, store):
    """It has no id in it."""
    token = "an-operators.own+key/of_more~than=32"
    store.add_key(new_key(token, name="own", scopes=["jobs:read"]), max_keys=10)

    assert api.get("/v1/jobs", headers={"X-API-Key": token}).status_code == 200


GOOD = "good"


@pytest.mark.parametrize(
    "sent",
    [
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"Authorization": "Bearer ty_000000000000_" + "0" * 64},
        {"Authorization": "Bearer " + "x" * 100_000},
        {"Authorization": "Bearer {good}x"},
        {"Authorization": "Bearer {good} {good}"},
        {"Authorization": "Bearer {good},{good}"},
        {"Authorization": "Bearer {GOOD}"},
        {"Authorization": "Bearer\t{good}"},
        {"Authorization": "Bearer ty_{id}_" + "0" * 64},
        {"Authorization": "Bearer {digest}"},
        {"Authorization": "Bearer é€\x00"},
        {"Authorization": "Bearer ${jndi:ldap://x}' OR 1=1 --"},
        {"Authorization": "Basic {basic}"},
        {"Authorization": "Token {good}"},
        {"Authorization": "{good}"},
        {"Authorization": "Digest {good}"},
        {"X-API-Key": ""},
        {"X-API-Key": "Bearer {good}"},
        {"X-API-Key": "{good} "},
        {"Authorization": "Bearer {good}", "X-API-Key": "{other}"},
        {"Cookie": "Authorization=Bearer {good}; X-API-Key={good}"},
        {"Proxy-Authorization": "Bearer {good}"},
        {"X-Original-Authorization": "Bearer {good}"},
    ],
    ids=str,
)
def test_a_stranger_does_not_get_in(api, caller, store, sent, caplog):
    """With garbage, much of it, a wrong scheme, an id without its secret, the digest, or two keys."""
    caplog.set_level(logging.DEBUG)
    good, other = caller("admin").token, caller("admin").token
    words = {
        "{good}": good,
        "{GOOD}": good.upper(),
        "{other}": other,
        "{id}": keys.token_id(good),
        "{digest}": keys.digest(good),
        "{basic}": base64.b64encode(f"key:{good}".encode()).decode(),
    }
    for word, value in words.items():
        sent = {name: text.replace(word, value) for name, text in sent.items()}

    answer = api.get("/v1/jobs", headers=sent)

    assert answer.status_code == 401
    assert answer.json["code"] in ("key_refused", "key_required")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="taskyard"')
    assert answer.content_type == "application/problem+json"
    assert good not in answer.get_data(as_text=True) + caplog.text


def test_a_key_in_a_url_is_no_key(api, caller):
    """It would be in the logs of everything on the way."""
    token = caller("admin").token

    for name in ("access_token", "api_key", "key"):
        assert api.get(f"/v1/jobs?{name}={token}").json["code"] == "key_required"


def test_a_wrong_key_is_refused_also_where_none_is_needed(api):
    """Whoever sends one means to be known by it; other schemes are a proxy's business."""
    assert api.get("/v1/jobs", headers={"X-API-Key": new_token()}).status_code == 401
    assert api.get("/v1/jobs", headers={"Authorization": "Basic eDp5"}).status_code == 200


def test_an_unknown_key_takes_as_long_as_a_wrong_one(api, caller, monkeypatch):
    """Digests are compared as a whole, in constant time, also where there is no key of this id."""
    compared: list[Any] = []
    monkeypatch.setattr(hmac, "compare_digest", told(compared, hmac.compare_digest))
    token = caller("admin").token

    for wrong in (f"ty_{keys.token_id(token)}_{'0' * 64}", new_token()):
        assert api.get("/v1/jobs", headers={"X-API-Key": wrong}).status_code == 401
    assert [len(kept) for _, kept in compared] == [64, 64]


def test_a_flood_of_unknown_keys_does_not_reach_the_store(api, caller, store, monkeypatch):
    """The copy of the keys is read a few times a second at most."""
    caller("admin")
    readings: list[Any] = []
    monkeypatch.setattr(store, "key_ring", told(readings, store.key_ring))

    started = time.monotonic()
    for _ in range(200):
        api.get("/v1/jobs", headers={"X-API-Key": new_token()})

    took_s = time.monotonic() - started
    assert len(readings) <= 1 + keyring.MAX_MISSES * (1 + took_s)


def test_a_revoked_key_is_refused_within_a_second(api, caller, store):
    """It is said that it was one; and when the last key is gone, nobody gets in without."""
    user = caller("jobs:read")
    assert user.get("/v1/jobs").status_code == 200

    store.revoke_keys([keys.token_id(user.token)])

    started = time.monotonic()
    answer = until_refused(user)
    assert time.monotonic() - started < keyring.TTL_S + 15
    assert (answer.status_code, answer.json["detail"]) == (401, "this API key is revoked")
    assert api.get("/v1/jobs").json["code"] == "key_required"


def test_when_all_keys_are_forgotten_none_is_needed(api, caller, store, monkeypatch):
    """The API is as at first."""
    monkeypatch.setattr(keyring, "TTL_S", 0.1)
    key_id = keys.token_id(caller("admin").token)
    assert api.get("/v1/jobs").status_code == 401

    store.revoke_keys([key_id])
    store.forget_keys([key_id])

    poll(lambda: api.get("/v1/jobs").status_code == 200)


def test_an_expired_key_is_refused(caller, monkeypatch):
    """To the moment, also by who has just read that it is good and does not read again."""
    monkeypatch.setattr(keyring, "TTL_S", 60.0)
    user = caller("jobs:read", ttl_ms=3000)
    assert user.get("/v1/jobs").status_code == 200

    answer = until_refused(user)
    assert answer.status_code == 401
    assert "has expired on 20" in answer.json["detail"]


def test_the_first_key_locks_the_api_within_a_second(api, caller):
    """A process that has just seen that there is none."""
    assert api.get("/v1/jobs").status_code == 200

    caller("admin")

    poll(lambda: api.get("/v1/jobs").status_code == 401)


def test_a_new_key_works_at_once(caller):
    """Though the keys were read just before it was made."""
    assert caller("jobs:read").get("/v1/jobs").status_code == 200
    assert caller("jobs:read").get("/v1/jobs").status_code == 200


def test_checking_a_key_costs_no_call_of_the_store(caller, store, monkeypatch):
    """Of its own: the keys are read once a second for all requests."""
    user = caller("jobs:read")
    user.get("/v1/jobs/nobody")
    calls: list[Any] = []
    monkeypatch.setattr(store, "run", told(calls, store.run))

    started = time.monotonic()
    for _ in range(50):
        user.get("/v1/jobs/nobody")

    names = [name for name, *_ in calls]
    assert names.count("key_ring") <= 1 + (time.monotonic() - started) / keyring.TTL_S
    assert names.count("use_keys") == 0


def test_the_last_use_is_noted_once_a_minute(caller, store, monkeypatch):
    """Also of a key that was refused for what it may not do."""
    user = caller("jobs:submit")
    noted = []

    for _ in range(3):
        assert user.get("/v1/jobs").status_code == 403
        (key,) = store.key_ring().keys
        noted.append(key.last_used_at_ms)

    assert noted[0] is not None
    assert len(set(noted)) == 1
    monkeypatch.setattr(keyring, "NOTED_EVERY_S", 0.0)

    def is_noted_again():
        user.get("/v1/jobs")
        return store.key_ring().keys[0].last_used_at_ms > noted[0]

    poll(is_noted_again)


def test_a_rate_holds_over_all_processes(settings, dispatcher, api, caller):
    """Every answer tells how it stands; one too many gets 429 and when to try again."""
    user = caller("jobs:read", rate="3/h")
    other = create_app(settings, dispatcher).test_client()
    sent = {"X-API-Key": user.token}

    answers: list[Any] = [
        client.get("/v1/jobs", headers=sent) for client in (api, other, api, other)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"key";q=3;w=3600'}
    told: list[Any] = [
        re.findall(r'"key";r=(\d);t=(\d+)', a.headers["RateLimit"])[0] for a in answers
    ]
    assert [left for left, _ in told] == ["2", "1", "0", "0"]
    assert all(3590 <= int(reset_s) <= 3600 for _, reset_s in told)
    problem: Any = answers[3].json
    assert problem["code"] == "rate_limited"
    assert "3/h" in problem["detail"]
    assert told[3][1] == answers[3].headers["Retry-After"]
    assert caller("jobs:read", rate="3/h").get("/v1/jobs").status_code == 200


def test_refused_requests_count_too_and_windows_end(caller):
    """Whoever may not do something cannot try it without end."""
    user = caller("jobs:submit", rate="2/2s")

    poll(lambda: user.get("/v1/jobs").status_code == 429)
    poll(lambda: user.get("/v1/jobs").status_code == 403)


def test_a_key_without_a_rate_is_told_none(caller):
    """And costs no counting."""
    answer = caller("jobs:read").get("/v1/jobs")

    assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers.keys())


def test_who_asks_is_known_by_name(app, caller, caplog):
    """To routes, and in the log; never by the key itself."""
    caplog.set_level(logging.INFO)
    app.view_functions["catalogue.workers"] = lambda: {"who": who()}
    mine = app.test_client()
    token = caller("admin", name="ci").token

    expected = f"key:ci/{keys.token_id(token)}"
    assert mine.get("/v1/workers", headers={"X-API-Key": token}).json["who"] == expected
    assert [line.who for line in caplog.records if line.message == "request"] == [expected]
    assert token not in caplog.text
    assert who() == "anonymous"


def test_idempotency_keys_are_each_keys_own(caller, catalogued):
    """Two callers that chose the same one made two jobs."""
    sent = {"Idempotency-Key": "1"}
    one, other = caller("jobs:submit"), caller("jobs:submit")
    asked = {"task": "echo", "args": [1]}

    first = one.post("/v1/jobs", json=asked, headers=sent).json["id"]
    assert one.post("/v1/jobs", json=asked, headers=sent).json["id"] == first
    answer = other.post("/v1/jobs", json={"task": "echo", "args": [2]}, headers=sent)
    assert answer.status_code == 202
    assert answer.json["id"] != first


def test_a_successor_of_the_same_name_inherits_nothing(api, caller, store, catalogued):
    """Neither what was asked for with the keys of before, nor what was done."""
    sent = {"json": {"task": "echo", "args": [1]}, "headers": {"Idempotency-Key": "1"}}
    old = caller("admin", name="ci")
    first = old.post("/v1/jobs", **sent).json["id"]
    old.post("/v1/tasks/echo/pause")
    store.revoke_keys([keys.token_id(old.token)])
    new = caller("admin", name="ci")
    other = {**sent, "json": {"task": "echo", "args": [2]}}

    answer = new.post("/v1/jobs", **other)
    new.post("/v1/tasks/echo/resume")

    assert (answer.status_code, answer.json["id"] == first) == (202, False)
    old_who, new_who = (f"key:ci/{keys.token_id(each.token)}" for each in (old, new))

    def done(who):
        found = new.get(f"/v1/audit-log?who={who}").json["items"]
        return [(each["who"], each["action"]) for each in found]

    assert done(old_who) == [(old_who, "task.pause")]
    assert done(new_who) == [(new_who, "task.resume")]
    assert done("key:ci") == [*done(new_who), *done(old_who)]
    assert done("key:c") == []


def from_address(api, address, token):
    """Send a request with a key from an address."""
    sent = {"Authorization": f"Bearer {token}"}
    return api.get("/v1/jobs", headers=sent, environ_base={"REMOTE_ADDR": address})


def test_wrong_keys_of_an_address_are_limited(api, caller, store, caplog):
    """Right ones are let in all the same, unless they might be a guess that came true."""
    own, at_work, new = caller("jobs:read").token, *(f"of-an-operator-{n}" * 3 for n in "ab")
    for token in (at_work, new):
        store.add_key(new_key(token, name=token[:20], scopes=["jobs:read"]), max_keys=10)
    assert from_address(api, "10.0.0.1", at_work).status_code == 200

    guesses = [new_token(), "a guess".replace(" ", "-") * 9] * wrong_keys.MAX_WRONG
    answers = [from_address(api, "10.0.0.1", guess) for guess in guesses]

    limit = wrong_keys.MAX_WRONG
    assert [each.status_code for each in answers] == [401] * limit + [429] * limit
    assert (answers[-1].json["code"], "WWW-Authenticate" in answers[-1].headers) == (
        "too_many_wrong_keys",
        False,
    )
    assert 0 < int(answers[-1].headers["Retry-After"]) <= wrong_keys.WINDOW_S
    statuses = {own: 200, at_work: 200, new: 429, f"ty_{keys.token_id(own)}_{'0' * 64}": 429}
    for token, status in statuses.items():
        assert from_address(api, "10.0.0.1", token).status_code == status
    assert from_address(api, "10.0.0.2", new).status_code == 200
    assert caplog.messages.count("too many wrong keys") == 1


def test_what_cannot_be_a_key_or_was_one_is_no_guess(api, caller, store):
    """A program with an old key, or none, locks out nobody beside it."""
    old, new = caller("jobs:read").token, caller("jobs:read").token
    store.revoke_keys([keys.token_id(old)])
    poll(lambda: from_address(api, "10.0.0.3", old).status_code == 401)

    for token in (old, "undefined"):
        for _ in range(wrong_keys.MAX_WRONG + 1):
            assert from_address(api, "10.0.0.3", token).status_code == 401

    assert from_address(api, "10.0.0.3", new).status_code == 200


def test_who_may_only_submit_sees_what_they_make(caller, catalogued):
    """Of a job that was there they see its state, though they guess all that went in."""
    writer = caller("jobs:submit", "jobs:read")
    stranger = caller("jobs:submit")
    asked = {"task": "echo", "args": ["a secret"], "id": "mine", "tags": ["t"]}
    made = writer.post("/v1/jobs", json=asked).json

    state = {"id": "mine", "state": "pending", "links": made["links"]}
    for body in (asked, {"task": "echo", "args": [], "id": "mine"}):
        told = stranger.post("/v1/jobs", json=body)
        assert (told.status_code, told.json) == (200, state)
    theirs = stranger.post("/v1/jobs", json={**asked, "id": "theirs"})
    assert (theirs.status_code, theirs.json["args"]) == (202, ["a secret"])
    shown = writer.post("/v1/jobs", json={"task": "echo", "args": [], "id": "mine"}).json
    assert shown["args"] == ["a secret"]


def test_the_document_says_what_is_needed(settings, app, api, caller, monkeypatch):
    """Of each operation its scopes; as long as there is no key, that none is needed."""
    monkeypatch.setattr(keyring, "TTL_S", 0.1)
    open_document = api.get("/openapi.json").json
    caller("admin")
    poll(lambda: api.get("/v1/jobs").status_code == 401)
    document = api.get("/openapi.json").json

    assert set(document["components"]["securitySchemes"]) == {"key", "keyHeader"}
    for method, rule in routes(app):
        place = re.sub(r"<(\w+)>", r"{\1}", rule)
        told = document["paths"][place][method.lower()]
        before = open_document["paths"][place][method.lower()]["security"]
        if rule in permissions.open_paths(settings):
            assert [] == told["security"] == before
            continue
        needed = list(permissions.RULES[f"{method} {rule}"].scopes)
        assert told["security"] == [{"key": needed}, {"keyHeader": needed}]
        assert before == [*told["security"], {}]
        assert {"401", "403", "429", "503"} <= set(told["responses"])
        assert all(f"`{scope}`" in told["description"] for scope in needed)


def test_nobody_gets_in_while_the_keys_cannot_be_read(api, store, monkeypatch):
    """503, with a key and without."""

    def away():
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "key_ring", away)

    assert api.get("/v1/tasks").status_code == 503
    assert api.get("/v1/tasks", headers={"X-API-Key": new_token()}).status_code == 503
    assert api.get("/healthz").status_code == 200


def test_the_metrics_can_ask_for_a_key(settings, dispatcher, caller, catalogued):
    """A key of Prometheus reads them and nothing else; others and bound ones do not."""
    closed = replace(settings, api_metrics_open=False)
    api: Any = create_app(closed, dispatcher).test_client()
    before = api.get("/metrics")
    prometheus, reader, bound = (
        caller("metrics:read"),
        caller("jobs:read"),
        caller("metrics:read", queues=[catalogued]),
    )

    def get(user, path):
        answer = api.get(path, headers={"Authorization": f"Bearer {user.token}"})
        return answer.status_code, (answer.json or {}).get("code")

    assert before.status_code == 200  # no key yet: this machine is served
    poll(lambda: api.get("/metrics").status_code == 401)
    assert get(prometheus, "/metrics") == (200, None)
    assert get(reader, "/metrics") == (403, "missing_scope")
    assert get(bound, "/metrics") == (403, "out_of_reach")
    assert get(prometheus, "/v1/jobs") == (403, "missing_scope")
    assert "text/plain" in api.get("/metrics", headers={"X-API-Key": prometheus.token}).content_type
    told = api.get("/openapi.json").json["paths"]["/metrics"]["get"]
    assert told["security"] == [{"key": ["metrics:read"]}, {"keyHeader": ["metrics:read"]}]
    assert {"401", "403"} <= set(told["responses"])


def test_the_metrics_are_open_by_default(api, caller):
    """Also where there are keys: Prometheus reads them in compose."""
    caller("admin")
    poll(lambda: api.get("/v1/jobs").status_code == 401)

    assert api.get("/metrics").status_code == 200
