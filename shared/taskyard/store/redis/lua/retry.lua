-- args: {replay id or '', rows of {id, attempts made, body}}; answers rows of
-- {id, verdict, state, queue, now, the living job that has its lock}
local replay, rows = args[1], args[2]
local todo, canary = P .. 'replay:' .. replay .. ':todo', P .. 'replay:' .. replay .. ':canary'
local answers = {}

-- Takes the lock of a unique job again; answers who has it, if that is another.
local function lock_out(id, lock, lock_ms)
  if not lock then return end
  local holder = lock_holder(lock)
  if holder then return holder end
  redis.call('SET', P .. 'unique:' .. lock, id, 'PX', lock_ms or LOCK_MS)
end

local function rebuild(id, made, body)
  local r = redis.call('HMGET', P .. 'd:' .. id, 'queue', 'task', 'body', 'priority', 'created_at', 'attempts', 'unique',
    'lock_ms')
  if not r[3] then return 'unknown', '', '' end
  if tonumber(r[6]) ~= made then return 'changed', '', r[1] end
  local holder = lock_out(id, r[7], r[8])
  if holder then return 'not_unique', '', r[1], holder end
  if r[7] then redis.call('HSET', job_key(id), 'unique', r[7], 'lock_ms', r[8]) end
  redis.call('HSET', job_key(id), 'task', r[2], 'queue', r[1], 'priority', r[4], 'body', body, 'state', 'pending',
    'attempt', made, 'created_at', r[5], 'ready_at', now)
  note_gap(id, 'ended', r[5]) -- what was before is no longer on record
  redis.call('ZADD', P .. 'jobs', r[5], id)
  redis.call('HINCRBY', P .. 'totals', 'accepted', 1) -- its record was pruned
  return 'retried', 'pending', r[1]
end

local function retry_job(id, made, body)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'queue', 'attempt', 'finished_at', 'unique', 'lock_ms')
  local state, queue = r[1], r[2]
  if not state then return rebuild(id, made, body) end
  if state ~= 'failed' and state ~= 'cancelled' and state ~= 'expired' then
    local dead = tonumber(redis.call('HGET', P .. 'd:' .. id, 'attempts') or -1)
    if is_about_to_fail(state, r[3], dead) then return 'changed', state, queue end
    drop_letter(id)
    return 'too_late', state, queue
  end
  if tonumber(r[3]) ~= made then return 'changed', state, queue end
  local holder = lock_out(id, r[5], r[6])
  if holder then return 'not_unique', state, queue, holder end
  if r[4] then note_gap(id, 'ended', r[4]) end
  redis.call('HSET', key, 'state', 'pending', 'body', body, 'ready_at', now)
  redis.call('HDEL', key, 'finished_at', 'started_at', 'result', 'progress', 'cancel', 'crashes', 'losses', 'suspect',
    'reason', 'parked_at', 'exit', 'ran_ms', 'run_at', 'replaced_by', 'replaces', 'locked_until')
  redis.call('ZREM', P .. 'ended', id)
  count(queue, state, -1)
  return 'retried', state, queue
end

-- A replay counts each of its jobs once, whichever scheduler was the first.
local function note(id, verdict)
  if replay == '' or verdict == 'changed' or redis.call('ZREM', todo, id) == 0 then return end
  local is_retried = verdict == 'retried'
  redis.call('HINCRBY', P .. 'replay:' .. replay, is_retried and 'replayed' or 'skipped', 1)
  if not is_retried then redis.call('SREM', canary, id) end
end

local function retry(id, made, body)
  if replay ~= '' and not redis.call('ZSCORE', todo, id) then return {id, 'changed', '', '', now, ''} end
  local verdict, state, queue, holder = retry_job(id, made, body)
  if verdict == 'retried' then
    redis.call('HSET', job_key(id), 'is_shared', 1) -- who submitted it first may still be about to withdraw it
    drop_letter(id)
    make_pending(id, queue)
    enter(id, queue, 'pending')
  end
  note(id, verdict)
  return {id, verdict, state, queue, now, holder or ''}
end
if replay == '' or redis.call('HGET', P .. 'replay:' .. replay, 'state') ~= 'stopped' then
  for i, row in ipairs(rows) do answers[i] = retry(unpack(row, 1, 3)) end
end
return answer(answers)
