"""What a program pays for before it does anything: modules are counted, for times are noisy."""

import json
import subprocess
import sys

#: Libraries that take some 10 to 100 ms each to import.
SLOW = {"asyncio", "jsonschema_rs", "pika", "prometheus_client", "pydantic", "redis", "structlog"}
SHOW = "import json, sys; print(json.dumps(sorted(sys.modules)))"
TASK = """
from taskyard import task
@task
def add(a: int, b: int) -> int: ...
"""


def modules_after(code: str) -> set[str]:
    """Return the modules that a new process has imported once it has run `code`."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{SHOW}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(run.stdout))


def test_importing_taskyard_imports_nothing_slow():
    """A program that may never make a task starts at once."""
    found = modules_after("import taskyard")

    assert "taskyard.client" in found
    assert not found & SLOW


def test_the_first_task_imports_what_handing_over_needs():
    """So that the first request of a server does not wait for it."""
    found = modules_after(TASK)

    assert {"pika", "redis", "pydantic"} <= found
    assert "structlog" not in found
