"""Which dead letters are meant, by ids or a filter, and what is then done with all of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from taskyard.errors import InvalidSubmission, ReplayNotFound
from taskyard.faults import Fault
from taskyard.store import JobStore
from taskyard.store.dead_letters import DeadLetter, DeadLetterFilter
from taskyard.store.finding import Cursor
from taskyard.store.replays import NewReplay, Replay

#: Ids and times of death.
Step = list[tuple[str, int]]
#: Dead letters of one step of a purge, or of a snapshot for a replay.
STEP = 500


def page(
    store: JobStore, wanted: DeadLetterFilter, limit: int, cursor: Cursor | None
) -> tuple[Step, Cursor | None]:
    """Return a page that is full if there is enough: a search gives up after so many that do not fit."""
    found, cursor = store.find_dead(wanted, limit, cursor)
    while cursor is not None and len(found) < limit:
        more, cursor = store.find_dead(wanted, limit - len(found), cursor)
        found += more
    return found, cursor


def by_filter(store: JobStore, wanted: DeadLetterFilter) -> Iterator[Step]:
    """Give what fits in steps, the newest first."""
    cursor: Cursor | None = None
    while True:
        step, cursor = page(store, wanted, STEP, cursor)
        if step:
            yield step
        if cursor is None:
            return


def by_ids(
    store: JobStore,
    ids: Sequence[str],
    *,
    jobs_only: bool,
    is_reached: Callable[[DeadLetter], bool] | None = None,
) -> Step:
    """Return the dead letters of these ids, each once.

    Args:
        store: Where they are.
        ids: Which ones.
        jobs_only: Whether what never was a job is refused.
        is_reached: Whether the caller may know of one; by default of all.

    Raises:
        InvalidSubmission: If an id is none of a dead letter, or not of a job where it must be.
    """
    ids = list(dict.fromkeys(ids))
    letters = store.dead_letters(ids)
    faults = []
    for place, (each, letter) in enumerate(zip(ids, letters, strict=True)):
        if letter is None or (is_reached is not None and not is_reached(letter)):
            faults.append(Fault(f"/ids/{place}", "not_found", f"no dead letter {each!r}"))
        elif jobs_only and letter.is_cut:
            faults.append(cut_fault(letter, f"/ids/{place}"))
        elif jobs_only and not letter.is_job:
            text = f"{each!r} never was a job: resubmit it, corrected"
            faults.append(Fault(f"/ids/{place}", "not_a_job", text))
    if faults:
        raise InvalidSubmission(faults)
    return [(letter.id, letter.failed_at_ms) for letter in letters if letter is not None]


def cut_fault(letter: DeadLetter, pointer: str = "") -> Fault:
    """Return the fault of a letter whose message is not kept as a whole: it can only be looked at."""
    text = (
        f"of {letter.id!r} only the first {letter.kept_bytes} of {letter.body_bytes} bytes are kept, "
        "as it was above DEAD_LETTER_MAX_BYTES: its sender has to send it again"
    )
    return Fault(pointer, "cut_off", text)


def purge(store: JobStore, steps: Iterable[Step]) -> tuple[int, int]:
    """Remove dead letters for good; return how many there were, and how many were removed."""
    matched = done = 0
    for step in steps:
        matched += len(step)
        done += len(store.purge_dead([each for each, _ in step]))
    return matched, done


def start_replay(store: JobStore, new: NewReplay, steps: Iterable[Step]) -> Replay:
    """Collect dead letters for a replay and start it."""
    for step in steps:
        store.add_to_replay(new.id, step)
    store.start_replay(new)
    return found_replay(store, new.id)


def found_replay(store: JobStore, replay_id: str) -> Replay:
    """Return a replay.

    Raises:
        ReplayNotFound: If there is none of this id.
    """
    found = store.replays([replay_id])
    if not found:
        raise ReplayNotFound(replay_id)
    return found[0]
