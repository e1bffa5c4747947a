-- args: {id, old body, new body, priority, run_at_ms, delay_ms}; nil values come as false. Answers {verdict, state};
-- "again" if the body is not the old one any more.
-- One that is to be tried alone now comes before all that have waited for that, by so much. Those are tried in turn.
local BEFORE_ALL_MS = 1e12
local id, old, new, priority, run_at, delay_ms = unpack(args, 1, 6)
local key = job_key(id)
local r = redis.call('HMGET', key, 'state', 'body', 'priority', 'ready_at', 'held_in', 'limit', 'attempt', 'suspect', 'queue')
local state, held_in, limit = r[1], r[5], r[6]
if not state then return answer({'unknown', ''}) end
if state ~= 'scheduled' and state ~= 'retrying' then return answer({'too_late', state}) end
if r[2] ~= old then return answer({'again', state}) end
redis.call('HSET', key, 'body', new, 'is_shared', 1)
if r[8] then redis.call('HSET', key, 'is_changed', 1) end -- whoever has taken it must take it again
if priority then
  redis.call('HSET', key, 'priority', priority)
  if held_in then redis.call('ZADD', P .. held_in, 'XX', (9 - priority) * 1e13 + tonumber(r[4]), id) end
end
if delay_ms then run_at = now + delay_ms end
if not run_at then return answer({'changed', state}) end
run_at = math.max(run_at, now)
if held_in and run_at <= now then return answer({'changed', state}) end -- its limit lets it go
if limit and run_at > now then -- a suspect that was let go has its slot
  end_hold(id)
  release(id, limit)
  redis.call('HDEL', key, 'reason')
end
redis.call('HSET', key, 'run_at', run_at, 'ready_at', run_at)
if r[7] == '0' then redis.call('HSET', key, 'first_run_at', run_at) end
if r[8] then
  redis.call('ZREM', P .. 'waiting', id) -- where it is parked
  wait_alone(id, r[9], run_at > now and run_at or now - BEFORE_ALL_MS)
else
  wait_until(id, run_at)
end
return answer({'changed', state})
