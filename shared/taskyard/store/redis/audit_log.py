"""The audit log, on Redis: texts by id in a hash, ids by time in a sorted set."""

import msgspec

from taskyard.store.audit_log import Action, ActionFilter, LoggedAction
from taskyard.store.finding import Cursor
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts

#: Entries of one script call, and of one call of `find_actions`.
STEP = 500
LOOKS = 5000


class RedisAuditLog(RedisScripts):
    """What operators did."""

    @guarded
    def begin_action(self, action: Action, *, max_entries: int, ttl_s: int) -> None:
        self.run("log_action", (action.id, _text(action), max_entries, ttl_s * 1000), bool)

    @guarded
    def end_action(self, action_id: str, action: Action | None) -> None:
        self.run("end_action", (action_id, _text(action) if action else ""), bool)

    @guarded
    def find_actions(
        self, wanted: ActionFilter, limit: int, cursor: Cursor | None = None
    ) -> tuple[list[LoggedAction], Cursor | None]:
        found: list[LoggedAction] = []
        looked = 0
        while True:
            rows, is_end = self._step(wanted, cursor)
            for entry in rows:
                if len(found) == limit:
                    return found, cursor
                cursor = entry.at_ms, entry.action.id
                if wanted.takes(entry.action):
                    found.append(entry)
            looked += len(rows)
            if is_end or looked >= LOOKS:
                return found, None if is_end else cursor

    def _step(self, wanted: ActionFilter, cursor: Cursor | None) -> tuple[list[LoggedAction], bool]:
        args = (wanted.after_ms, wanted.before_ms, *(cursor or (0, "")), STEP)
        rows, is_end = self.run("find_actions", args, tuple[list[tuple[int, str]], bool])
        return [LoggedAction(at_ms, _decode(text)) for at_ms, text in rows], is_end


def _text(action: Action) -> str:
    return msgspec.json.encode(action).decode()


_decode = msgspec.json.Decoder(Action).decode
