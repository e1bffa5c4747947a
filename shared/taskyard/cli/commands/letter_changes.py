"""The `taskyard dead-letters` commands that change something: start and stop replays, and purge."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import click
import msgspec

from taskyard.cli.actor import actor
from taskyard.cli.confirm import YES, confirm, count_of
from taskyard.cli.exits import half_way
from taskyard.cli.output import OUTPUT, Output, say_list, say_one
from taskyard.cli.table import Column
from taskyard.cli.times import PAST
from taskyard.cli.which_jobs import GIVEN
from taskyard.cli.words import in_words
from taskyard.client import Client
from taskyard.config import load
from taskyard.dead_letters.document import replay_document
from taskyard.dead_letters.selection import Step, by_filter, by_ids, found_replay
from taskyard.operations import dead_letters as operations
from taskyard.operations.facts import letter_facts
from taskyard.store import JobStore
from taskyard.store.dead_letters import DeadLetterFilter
from taskyard.store.replays import Replay

_FILTERS = (
    click.option("--queue", type=GIVEN, help="Of this queue."),
    click.option("--task", type=GIVEN, help="Of this task."),
    click.option("--reason", type=GIVEN, help="That failed for this reason, such as timeout."),
    click.option("--error-type", type=GIVEN, help="Whose last error was of this type."),
    click.option("--fingerprint", type=GIVEN, help="Of this group."),
    click.option(
        "--after",
        "after_ms",
        type=PAST,
        help="That failed at this time or later, such as 2h (ago).",
    ),
    click.option("--before", "before_ms", type=PAST, help="That failed at this time or before."),
)
_REPLAYS = (
    Column("REPLAY", itemgetter("id")),
    Column("STATE", itemgetter("state"), kind="state"),
    Column("TOTAL", itemgetter("total"), kind="number"),
    Column("REPLAYED", itemgetter("replayed"), kind="number"),
    Column("SKIPPED", itemgetter("skipped"), kind="number"),
    Column("CREATED", itemgetter("created_at"), kind="time"),
    Column("REASON", itemgetter("reason"), is_optional=True, may_be_cut=True),
)


def letter_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which dead letters; what is given comes in as `fields`."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _by_ids_or_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command IDS, the options of `letter_filter`, `--all`, `--dry-run`, `--yes` and `--output`."""
    for option in (
        OUTPUT,
        YES,
        click.option("--dry-run", is_flag=True, help="Only count them."),
        click.option("--all", "is_all", is_flag=True, help="All of them."),
        letter_filter,
        click.argument("ids", nargs=-1),
    ):
        command = option(command)
    return command


def wanted_letters(fields: dict[str, Any]) -> DeadLetterFilter:
    """Return the filter that the options of `letter_filter` say."""
    return DeadLetterFilter(**{name: value for name, value in fields.items() if value is not None})


@click.command()
@_by_ids_or_filter
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000, min_open=True),
    help="Jobs a second. Default: as fast as it goes.",
)
@click.option(
    "--canary",
    type=click.IntRange(0, 1000),
    default=0,
    help="So many first; the others only if all of these complete.",
)
def replay(
    ids: Sequence[str],
    is_all: bool,
    dry_run: bool,
    is_sure: bool,
    rate: float | None,
    canary: int,
    output: Output,
    **fields: Any,
) -> None:
    """Run the jobs of dead letters again: IDS, or all that fit the options. The schedulers do it.

    Unless IDS are given, it says how many fit, and asks before it starts.
    """
    wanted = _chosen(ids, fields, is_all)
    client = Client(load())
    steps = list(_steps(client.store, ids, wanted, jobs_only=True))
    count = sum(map(len, steps))
    if dry_run:
        _say_count(count, 0, f"{count} to replay", output)
        return
    confirm(f"{count_of(count, 'job')} will run again", is_sure=is_sure or bool(ids) or not count)
    limits = {"rate_per_s": rate, "canary": canary}
    started = operations.replay(
        actor(client),
        steps,
        request={**({"ids": list(ids)} if ids else letter_facts(None, wanted)), **limits},
        ids=ids,
        wanted=wanted,
        rate_per_s=rate,
        canary=canary,
    )
    say_list([replay_document(started)], _REPLAYS, output=output, empty="")


@click.command()
@click.argument("replay_ids", metavar="[ID]...", nargs=-1)
@OUTPUT
def replays(replay_ids: Sequence[str], output: Output) -> None:
    """List replays with their progress: these, or the newest hundred."""
    store = Client(load()).store
    found = map(partial(found_replay, store), replay_ids) if replay_ids else _newest(store)
    say_list(map(replay_document, found), _REPLAYS, output=output, empty="There is no replay.")


def _newest(store: JobStore) -> Iterator[Replay]:
    found, cursor = store.newest_replays()
    yield from found
    while cursor is not None:
        found, cursor = store.newest_replays(cursor)
        yield from found


@click.command("stop")
@click.argument("replay_id", metavar="REPLAY")
@OUTPUT
def stop_replay(replay_id: str, output: Output) -> None:
    """Stop a replay; what it has brought back goes on."""
    client = Client(load())
    stopped = operations.stop_replay(actor(client), found_replay(client.store, replay_id))
    say_list([replay_document(stopped)], _REPLAYS, output=output, empty="")


@click.command()
@_by_ids_or_filter
def purge(
    ids: Sequence[str],
    is_all: bool,
    dry_run: bool,
    is_sure: bool,
    output: Output,
    **fields: Any,
) -> None:
    """Remove dead letters and the records of their jobs for good: IDS, or all that fit the options.

    It says how many they are, and asks before they go.
    """
    wanted = _chosen(ids, fields, is_all)
    client = Client(load())
    steps = list(_steps(client.store, ids, wanted, jobs_only=False))
    count = sum(map(len, steps))
    if dry_run:
        _say_count(count, 0, f"{count} to purge", output)
        return
    what = (
        f"{count_of(count, 'dead letter')} will be removed for good, with the records of their jobs"
    )
    confirm(what, is_sure=is_sure or not count)
    with half_way("purged"):
        _, done = operations.purge(actor(client), steps, ids=ids, wanted=wanted)
    _say_count(count, done, f"{done} purged", output)


def _say_count(matched: int, done: int, line: str, output: Output) -> None:
    say_one({"matched": matched, "done": done}, lambda _: [line], output=output)


def _chosen(ids: Sequence[str], fields: dict[str, Any], is_all: bool) -> DeadLetterFilter:
    """Return the filter; one that would mean all has to say so."""
    wanted = wanted_letters(fields)
    if sum((bool(ids), wanted != DeadLetterFilter(), is_all)) != 1:
        raise click.UsageError("give ids, or options that say which dead letters, or --all")
    return wanted


def _steps(
    store: JobStore, ids: Sequence[str], wanted: DeadLetterFilter, *, jobs_only: bool
) -> Iterator[Step]:
    if ids:
        with in_words():
            return iter([by_ids(store, ids, jobs_only=jobs_only)])
    return by_filter(store, msgspec.structs.replace(wanted, jobs_only=jobs_only))
