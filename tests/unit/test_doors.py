"""Routes and commands translate: what an operator does to the store is done in `taskyard.operations`."""

import ast
from pathlib import Path

import pytest

from taskyard.store import JobStore

ROOT = Path(__file__).parents[2]
DOORS = sorted(
    path
    for folder in ("services/api/routes", "shared/taskyard/cli/commands")
    for path in (ROOT / folder).glob("*.py")
)
#: What changes a store for an operator.
WRITES = {
    *("cancel", "change", "pause", "purge", "remove", "resume", "retry", "set_limits"),
    *("add_key", "forget_keys", "revoke_keys"),
    *("add_to_replay", "purge_dead", "start_replay", "stop_replay"),
    *("begin_action", "end_action"),
}


def test_what_a_door_may_not_call_is_there():
    """A method of another name would not be looked for."""
    assert {name for name in WRITES if not hasattr(JobStore, name)} == set()


@pytest.mark.parametrize("path", DOORS, ids=lambda path: path.stem)
def test_a_door_changes_nothing_by_itself(path):
    """So that no door does it without the checks, or without the audit log."""
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]

    found = [
        f"{path.name}:{call.lineno} {ast.unparse(call)}"
        for call in calls
        if isinstance(call, ast.Attribute)
        and (
            call.attr == "recording"
            or (call.attr in WRITES and ast.unparse(call.value).endswith("store"))
        )
    ]

    assert found == []
