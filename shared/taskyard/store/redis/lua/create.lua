-- args: jobs of {id, task, queue, priority, body, delay_ms, run_at_ms, attempts_made, created_at_ms, keep_ms,
-- lock, lock_ms, policy}; nil values come as false.
local created = {}
local has_withdrawn = redis.call('EXISTS', P .. 'withdrawn') == 1
local TERMINAL = {completed = true, failed = true, cancelled = true, expired = true}

local function replace(id, by, state, keep_ms)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'queue', 'owner', 'limit')
  redis.call('HSET', key, 'replaced_by', by)
  if state == 'running' then
    redis.call('HSET', key, 'cancel', 1)
    redis.call('SADD', P .. 'cancels:' .. r[2], id)
    return
  end
  cancel_idle(id, state, r[1], r[3], keep_ms)
  redis.call('HSET', key, 'reason', 'replaced')
end

-- Answers the job that keeps `id` from being recorded, if one does. A lock dies with the job that has it.
local function locked_out(id, lock, lock_ms, policy, keep_ms)
  local holder = redis.call('GET', P .. 'unique:' .. lock)
  local state = holder and redis.call('HGET', job_key(holder), 'state')
  if state and not TERMINAL[state] then
    if policy ~= 'replace' then return {holder, false, state, 0, 0, policy == 'reject'} end
    replace(holder, id, state, keep_ms)
  end
  redis.call('SET', P .. 'unique:' .. lock, id, 'PX', lock_ms)
end

local function create(id, task, queue, priority, body, delay_ms, run_at_ms, made, created_at_ms, keep_ms, lock, lock_ms,
  policy)
  local key = job_key(id)
  local state = redis.call('HGET', key, 'state')
  if state then
    -- Another caller is promised this job now: `withdraw` must leave it.
    if state == 'pending' or state == 'scheduled' then redis.call('HSET', key, 'is_shared', 1) end
    return {id, false, state, 0, 0, false, now}
  end
  local other = lock and locked_out(id, lock, lock_ms, policy, keep_ms)
  if other then
    if not other[6] then redis.call('HSET', job_key(other[1]), 'is_shared', 1) end
    return other
  end
  local run_at = run_at_ms or (delay_ms and now + delay_ms)
  local submitted = created_at_ms and math.min(created_at_ms, now) or now
  state = (run_at and run_at > now) and 'scheduled' or 'pending'
  redis.call('HSET', key, 'task', task, 'queue', queue, 'priority', priority, 'body', body, 'state', state,
    'attempt', made, 'created_at', submitted, 'ready_at', math.max(run_at or now, now))
  redis.call('ZADD', P .. 'jobs', submitted, id)
  if has_withdrawn then redis.call('ZREM', P .. 'withdrawn', id) end -- its old message serves as well
  if run_at then redis.call('HSET', key, 'run_at', run_at, 'first_run_at', run_at) end
  if lock then redis.call('HSET', key, 'unique', lock) end
  if state == 'scheduled' then wait_until(id, run_at)
  else make_pending(id, queue) end
  enter(id, queue, state)
  return {id, true, state, submitted, run_at or 0, false, now}
end

for i, job in ipairs(args) do created[i] = create(unpack(job, 1, 13)) end

local new = 0
for _, each in ipairs(created) do if each[2] then new = new + 1 end end
if new > 0 and redis.call('HINCRBY', P .. 'totals', 'accepted', new) == new then -- what was there before the totals
  for _, n in ipairs(redis.call('HVALS', P .. 'counts')) do redis.call('HINCRBY', P .. 'totals', 'accepted', n) end
end
return answer(created)
