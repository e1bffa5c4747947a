-- args: jobs of {id, task, queue, priority, body, delay_ms, run_at_ms, attempts_made, created_at_ms, lock,
-- lock_ms, policy, reach, reply_to, correlation_id}; nil values come as false; a reach is {tasks, queues}. Answers for each
-- a `Created`, or a text: the fault of a record in its way, or an empty one where a job in its way is out of its reach.
local OUT_OF_REACH = ''
local has_withdrawn = redis.call('EXISTS', P .. 'withdrawn') == 1

-- Answers a job that was there. Another caller is promised it from now on: `withdraw` must leave it.
local function found(id, state)
  if state ~= 'pending' and state ~= 'scheduled' then return {id, false, state, 0, 0, false, now} end
  local r = redis.call('HMGET', job_key(id), 'replaces', 'queue', 'attempt')
  local is_unconfirmed = state == 'pending' and redis.call('ZSCORE', P .. 'outbox', id) and true or false
  assert(not is_unconfirmed or (r[2] and tonumber(r[3])), 'the record tells too little for a message')
  redis.call('HSET', job_key(id), 'is_shared', 1)
  return {id, false, state, 0, 0, false, now, r[1] and true or false, is_unconfirmed}
end

local function is_in(names, name)
  for _, each in ipairs(names) do
    if each == name then return true end
  end
  return #names == 0
end

local function reaches(reach, id)
  if not reach then return true end
  local r = redis.call('HMGET', job_key(id), 'task', 'queue')
  return is_in(reach[1], r[1]) and is_in(reach[2], r[2])
end

-- Whether a job may take the place of one that has a lock, and of all whose places that one has yet to take.
local function reaches_rivals(reach, id)
  if not reach then return true end
  for _ = 1, MOST_RIVALS do
    if not id then return true end
    local r = redis.call('HMGET', job_key(id), 'state', 'replaces')
    if r[1] and not TERMINAL[r[1]] and not reaches(reach, id) then return false end
    id = r[2]
  end
  return false
end

-- Answers the job that keeps `id` from being recorded, if one does. A lock dies with the job that has it.
-- One to be replaced lives until `id` is safe (`conclude_replacing`), and has the lock back if `id` is withdrawn.
local function locked_out(id, lock, lock_ms, policy, reach)
  local holder, state = lock_holder(lock)
  if holder and not reaches_rivals(reach, holder) then return OUT_OF_REACH end
  if holder and policy == 'reject' then return {holder, false, state, 0, 0, true} end
  if holder and policy ~= 'replace' then return found(holder, state) end
  local key = P .. 'unique:' .. lock
  if holder then
    redis.call('HSET', job_key(id), 'replaces', redis.call('GET', key), 'locked_until', now + redis.call('PTTL', key))
  end
  redis.call('SET', key, id, 'PX', lock_ms)
  return nil, holder
end

local function create(job)
  local id, task, queue, priority, body, delay_ms, run_at_ms, made, created_at_ms, lock, lock_ms, policy, reach = unpack(job, 1, 13)
  local key = job_key(id)
  local state = redis.call('HGET', key, 'state')
  if state then return reaches(reach, id) and found(id, state) or OUT_OF_REACH end
  local other, replaced
  if lock then other, replaced = locked_out(id, lock, lock_ms, policy, reach) end
  if other then return other end
  local run_at = run_at_ms or (delay_ms and now + delay_ms)
  local submitted = created_at_ms and math.min(created_at_ms, now) or now
  state = (run_at and run_at > now) and 'scheduled' or 'pending'
  redis.call('HSET', key, 'task', task, 'queue', queue, 'priority', priority, 'body', body, 'state', state,
    'attempt', made, 'created_at', submitted, 'ready_at', math.max(run_at or now, now))
  redis.call('ZADD', P .. 'jobs', submitted, id)
  if has_withdrawn and redis.call('ZREM', P .. 'withdrawn', id) == 1 then -- its old message serves as well
    redis.call('HSET', key, 'out', made + 1)
  end
  if run_at then redis.call('HSET', key, 'run_at', run_at, 'first_run_at', run_at) end
  if lock then redis.call('HSET', key, 'unique', lock, 'lock_ms', lock_ms) end
  if job[14] ~= '' then redis.call('HSET', key, 'reply_to', job[14]) end
  if job[15] ~= '' then redis.call('HSET', key, 'correlation', job[15]) end
  if state == 'scheduled' then
    wait_until(id, run_at)
    if replaced then redis.call('ZADD', P .. 'outbox', now, id) end -- for `unpublished` to conclude, if nobody else does
  else make_pending(id, queue) end
  enter(id, queue, state)
  return {id, true, state, submitted, run_at or 0, false, now, replaced and true or false}
end

local created, faults = apart(args, create)
local new = 0
for place, fault in pairs(faults) do created[place] = fault end
for _, each in ipairs(created) do if each[2] == true then new = new + 1 end end
if new > 0 and redis.call('HINCRBY', P .. 'totals', 'accepted', new) == new then -- what was there before the totals
  for _, n in ipairs(redis.call('HVALS', P .. 'counts')) do redis.call('HINCRBY', P .. 'totals', 'accepted', n) end
end
return answer(created)
