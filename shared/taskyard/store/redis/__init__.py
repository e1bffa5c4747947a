"""`JobStore` on Redis 7 or Valkey: a Lua script for whatever must be atomic, MessagePack in and out.

Only here and in `lua/` are the names of keys known. One server (or one primary with replicas) is assumed,
not a cluster: a script touches keys of many jobs.
"""

from taskyard.store.protocol import JobStore
from taskyard.store.redis.attempts import RedisAttempts
from taskyard.store.redis.audit_log import RedisAuditLog
from taskyard.store.redis.catalogue import RedisCatalogue
from taskyard.store.redis.consistency import RedisConsistency
from taskyard.store.redis.controls import RedisControls
from taskyard.store.redis.dead_letters import RedisDeadLetters
from taskyard.store.redis.explaining import RedisExplaining
from taskyard.store.redis.finding import RedisFinding
from taskyard.store.redis.jobs import RedisJobs
from taskyard.store.redis.keys import RedisKeys
from taskyard.store.redis.monitoring import RedisMonitoring
from taskyard.store.redis.outbox import RedisOutbox
from taskyard.store.redis.replays import RedisReplays
from taskyard.store.redis.replies import RedisReplies
from taskyard.store.redis.schedules import RedisSchedules


class RedisStore(
    RedisJobs,
    RedisOutbox,
    RedisAttempts,
    RedisFinding,
    RedisExplaining,
    RedisDeadLetters,
    RedisReplays,
    RedisControls,
    RedisSchedules,
    RedisReplies,
    RedisKeys,
    RedisAuditLog,
    RedisConsistency,
    RedisCatalogue,
    RedisMonitoring,
    JobStore,
):
    """The store behind a `redis://` URL; each part keeps one topic of the protocol."""
