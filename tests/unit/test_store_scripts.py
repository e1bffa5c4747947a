"""The Lua scripts of the Redis store, as texts."""

import re
from importlib.resources import files

import pytest

from taskyard.store.redis.scripts import READING, READING_FORMS

FOLDER = files("taskyard.store.redis") / "lua"
#: What a script writes by: commands, and what `common.lua` has.
WRITES = re.compile(
    r"'(H?DEL|(H|M)?SET(NX)?|[SZ]ADD|[SZ]REM|[LR]PUSH|H?INCR(BY)?|SPOP|P?EXPIRE|LTRIM|PUBLISH|ZREMRANGE\w+)'"
    r"|make_pending|leave_pending|wait_until|unindex|drop_|call_for_all|remove_message|cancel_idle|release\("
    r"|set_limits\(|give_back|take_tokens|lower_copies"
)
SCRIPTS = sorted(each.name for each in FOLDER.iterdir() if each.name != "common.lua")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_state_that_is_counted_is_told(name):
    """Who counts a job in a new state does it with `enter`, or the streams would not hear of it."""
    text = (FOLDER / name).read_text()

    assert re.findall(r"count\([^()]*, 1\)", text) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_only_reads_is_run_by_an_ailing_server(name):
    """An operator who has to make room must see what there is."""
    text = (FOLDER / name).read_text()

    assert bool(WRITES.search(text)) != (name.removesuffix(".lua") in READING)


@pytest.mark.parametrize("name", READING_FORMS)
def test_what_may_write_has_a_form_that_only_reads(name):
    """The same script under another name, which an ailing server runs as well."""
    assert name in READING
    assert not (FOLDER / f"{name}.lua").is_file()
    assert WRITES.search((FOLDER / f"{READING_FORMS[name]}.lua").read_text())
