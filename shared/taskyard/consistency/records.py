"""The walk through all records of the store: at one go, or a step at a time for as long as a process runs."""

from taskyard.store import JobStore
from taskyard.store.consistency import Inconsistency

#: Records of one step.
STEP = 500
#: Findings that a `RecordWalk` looks at again.
REMEMBERED = 1000


def check_all(store: JobStore, *, is_repair: bool = False) -> tuple[int, list[Inconsistency]]:
    """Return how many records were looked at, and what is wrong with which; put them right if `is_repair`."""
    found: dict[str, Inconsistency] = {}
    cursor, checked = "0", 0
    while True:
        page = store.check_records(cursor, STEP, is_repair=is_repair)
        checked += page.checked
        for each in page.findings:
            found.setdefault(each.id, each)
        cursor = page.cursor
        if cursor == "0":
            return checked, list(found.values())


class RecordWalk:
    """Walks through all records again and again, a step at a time, and remembers what it finds.

    Args:
        store: Where the records are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._cursor = "0"
        self._found: list[str] = []

    def step(self, *, is_repair: bool = False) -> list[Inconsistency]:
        """Look at some records, and again at those found before; return what is wrong.

        With `is_repair`, what was found before and still is so is put right, as far as the record tells.
        """
        page = self._store.check_records(self._cursor, STEP, ids=self._found)
        self._cursor = page.cursor
        findings = {each.id: each for each in page.findings}
        again = [job_id for job_id in self._found if job_id in findings]
        if is_repair and again:
            mended = self._store.check_records("", 0, ids=again, is_repair=True).findings
            findings |= {each.id: each for each in mended}
        self._found = [i for i, each in findings.items() if not each.is_repaired][:REMEMBERED]
        return list(findings.values())
