"""API keys as such: made, recognised, checked."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # has no types

from taskyard import keys
from taskyard.keys import InvalidKey, new_key

ROOT = Path(__file__).parents[2]


def test_a_new_key_tells_its_id_and_nothing_else():
    """256 random bits, and never the same."""
    token = keys.new_token()

    assert re.fullmatch(r"ty_[0-9a-f]{12}_[0-9a-f]{64}", token)
    assert token[3:15] == keys.token_id(token)
    assert keys.is_token(token)
    assert keys.new_token() != token


def test_what_is_kept_does_not_hold_the_key():
    """Only its digest, by which it is recognised."""
    token = keys.new_token()

    kept = new_key(token, name="ci", scopes=["jobs:read"], rate="100/m")

    assert token.rpartition("_")[2] not in repr(kept)
    assert keys.digest(token) == kept.digest
    assert (kept.requests, kept.per_ms) == (100, 60_000)


def test_a_key_of_ones_own_making_has_an_id_that_tells_nothing_of_it():
    """It is some of the digest."""
    token = "x" * 40

    assert keys.digest(token)[:12] == keys.token_id(token)


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 31, "x" * 257, "x" * 40 + " ", "é" * 40, "x\n" * 20]
)
def test_what_cannot_be_a_key_is_none(text):
    """Too short to be safe, too long, or of strange characters."""
    assert not keys.is_token(text)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": ""}, "name ''"),
        ({"name": "a b"}, "name 'a b'"),
        ({"name": "-a"}, "name '-a'"),
        ({"name": "x\ny"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"scopes": []}, "needs a scope"),
        ({"scopes": ["jobs:all"]}, "no scope 'jobs:all'"),
        ({"scopes": ["admin"], "tasks": ["t"]}, "admin key cannot be bound"),
        ({"rate": "often"}, "rate='often'"),
        ({"rate": "0/m"}, "rate='0/m'"),
    ],
)
def test_strange_keys_are_refused(fields, told):
    """It is said what is wrong."""
    with pytest.raises(InvalidKey, match=re.escape(told)):
        new_key(keys.new_token(), **{"name": "ci", "scopes": ["jobs:read"], **fields})


def test_all_that_is_wrong_is_named():
    """At once."""
    with pytest.raises(InvalidKey) as caught:
        new_key(keys.new_token(), name="?", scopes=["x"], rate="y")

    assert all(part in str(caught.value) for part in ("name '?'", "no scope 'x'", "rate='y'"))


def test_compose_serves_without_a_key_on_loopback_only():
    """What its API serves without one is published to this machine alone; a key can be given."""
    api = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["api"]

    assert api["environment"]["API_ALLOW_ANONYMOUS"] == "${API_ALLOW_ANONYMOUS:-true}"
    assert "API_KEY" in api["environment"]
    assert all(port.startswith("127.0.0.1:") for port in api["ports"])


#: Names of what is secret, or made of it, wherever keys are dealt with.
SECRETS = {"token", "digest", "bearer", "credentials", "secret", "api_key"}
WHERE = ["services/api/**/*.py", "shared/taskyard/keys.py", "shared/taskyard/store/redis/keys.py"]
#: Both come with the same request: nobody learns of them what they have not sent.
ALLOWED = {"bearer != given"}


def comparisons(tree: ast.AST) -> Iterator[str]:
    """Give the comparisons that may end early and have to do with a secret."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        ends_early = any(not isinstance(each, ast.Is | ast.IsNot) for each in node.ops)
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        names |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
        if ends_early and names & SECRETS:
            yield ast.unparse(node)


def test_no_secret_is_compared_but_in_constant_time():
    """A comparison that ends at the first difference would tell how much of a guess was right."""
    paths = [path for pattern in WHERE for path in ROOT.glob(pattern)]
    found = {each for path in paths for each in comparisons(ast.parse(path.read_text()))}

    assert found == ALLOWED
    assert "hmac.compare_digest(digest, " in (ROOT / "services/api/auth/keyring.py").read_text()
    assert list(comparisons(ast.parse("key.digest == digest")))  # it would be seen
