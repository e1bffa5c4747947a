"""What `make faults` does: throw each fault at a system under load, and say which promises did not hold."""

import argparse
import inspect
import logging
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskyard.local_servers import Servers
from taskyard.local_servers.leftovers import end_leftovers
from tests.nemesis import report
from tests.nemesis.checks import judge
from tests.nemesis.choices import new_numbers
from tests.nemesis.faults import FAULTS
from tests.nemesis.rounds import ERRORS, Plan, run_round
from tests.nemesis.stack import Stack


def main() -> int:
    """Return the exit code: 1 if a promise was broken in any round."""
    options = parse_options()
    if options.list:
        for name, fault in FAULTS.items():
            print(f"{name:<28}{inspect.getdoc(fault)}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="taskyard-faults-"))
    logging.basicConfig(filename=folder / "customers.log")
    failing = run(options.only, folder, seed=options.seed, plan=Plan(drain_s=options.drain))
    print(f"\n{report.last_words(failing)}")
    return 1 if failing else 0


def parse_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument("--only", type=names, default=list(FAULTS), help="NAME,NAME")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of all chance")
    parser.add_argument("--drain", type=float, default=90.0, help="seconds for jobs to end in")
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Return the faults that a text names.

    Raises:
        argparse.ArgumentTypeError: If one is not known.
    """
    chosen = text.split(",")
    unknown = [name for name in chosen if name not in FAULTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such fault: {', '.join(unknown)}; see --list")
    return chosen


def run(chosen: list[str], folder: Path, *, seed: int, plan: Plan) -> list[str]:
    """Throw these faults, one after the other; return those after which a promise was found broken.

    A round after which something was wrong is the last of its system: what is stuck would haunt the next.
    """
    failing, memories = list[str](), list[str]()
    left, numbers = list(chosen), new_numbers()
    while left:
        with running_stack(folder / f"system{len(failing) + 1}") as stack:
            if not failing:
                print(report.head(stack.versions(), seed=seed, folder=folder))
                print(f"\n{report.table_head()}", flush=True)
            is_fine, memory_mib = True, stack.memory_mib()
            while left and is_fine:
                name = left.pop(0)
                is_fine, row = judged(stack, name, folder, numbers=numbers, seed=seed, plan=plan)
                print(row, flush=True)
            failing += [] if is_fine else [name]
            memories.append(report.memory(memory_mib, stack.memory_mib()))
    print("", *memories, sep="\n")
    return failing


def judged(
    stack: Stack, name: str, folder: Path, *, numbers: Iterator[int], seed: int, plan: Plan
) -> tuple[bool, str]:
    """Run one round; return whether every promise was kept, and the report's row."""
    try:
        evidence = run_round(stack, name, FAULTS[name], numbers=numbers, seed=seed, plan=plan)
        verdict = judge(evidence)
        report.keep(folder, name, evidence, verdict, stack)
    except ERRORS as error:  # the system is in no state to be asked
        return False, f"| {name} | **could not be judged**: {error!r} |"
    return not verdict, report.row(name, evidence, verdict)


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Give a system on servers of its own, and end all of it after the block."""
    servers = Servers(folder)
    try:
        servers.start()
        stack = Stack(servers.rabbit, servers.redis, folder)
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()
    finally:
        servers.kill()
        end_leftovers(folder)


if __name__ == "__main__":
    sys.exit(main())
