"""The Lua scripts of the Redis store, as texts."""

import re
from importlib.resources import files

import pytest

FOLDER = files("taskyard.store.redis") / "lua"
SCRIPTS = sorted(each.name for each in FOLDER.iterdir() if each.name != "common.lua")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_state_that_is_counted_is_told(name):
    """Who counts a job in a new state does it with `enter`, or the streams would not hear of it."""
    text = (FOLDER / name).read_text()

    assert re.findall(r"count\([^()]*, 1\)", text) == []
