"""How long programs take before they do anything: imports, commands, and the first job of a process."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import harness

COMMAND = str(Path(sys.executable).with_name("taskyard"))
#: Prints the milliseconds from its import to the end of the first call, and of the second.
CALLS = """
import time
from benchmarks.noop_tasks import noop
times = [time.perf_counter()]
for _ in range(2):
    noop.delay()
    times.append(time.perf_counter())
print(*(1000 * (end - begin) for begin, end in zip(times, times[1:])))
"""


def run_ms(argv: Sequence[str], env: dict[str, str]) -> float:
    """Return how long a process takes from its start to its end, in milliseconds."""
    begin = time.perf_counter()
    subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


def round_of(env: dict[str, str]) -> dict[str, dict[str, float]]:
    """Measure each once."""
    calls = subprocess.run(
        harness.python("-c", CALLS), env=env, check=True, capture_output=True, text=True
    )
    first_ms, second_ms = map(float, calls.stdout.split())
    times = {
        "python -c pass": run_ms(harness.python("-c", "pass"), env),
        "import taskyard": run_ms(harness.python("-c", "import taskyard"), env),
        "import of a task": run_ms(harness.python("-c", "import benchmarks.noop_tasks"), env),
        "first .delay() after it": first_ms,
        "second": second_ms,
        "taskyard --help": run_ms([COMMAND, "--help"], env),
        "taskyard status": run_ms([COMMAND, "status", "there"], env),
    }
    return {name: {"ms": taken_ms} for name, taken_ms in times.items()}


def main() -> None:
    """Run all in turn and print the medians."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=15)
    rounds = arguments.parse_args().rounds
    with harness.servers() as private:
        env = harness.environment(private)
        env.pop(
            "PYTHONDONTWRITEBYTECODE", None
        )  # what is imported is compiled, as where it is installed
        there = 'from benchmarks.noop_tasks import noop; noop.apply_async(job_id="there")'
        subprocess.run(harness.python("-c", there), env=env, check=True)
        results = [round_of(env) for _ in range(rounds)]
    table = {name: harness.medians([result[name] for result in results]) for name in results[0]}
    harness.show(f"starting, median of {rounds}; with Python's own start where a process is", table)


if __name__ == "__main__":
    main()
