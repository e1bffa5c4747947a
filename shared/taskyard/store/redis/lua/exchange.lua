-- args: {outcomes of {id, token, kind, result, error, delay_ms, ttl_ms, is_crash, progress, attempt,
--  is_loss, is_suspect},
--  owner, worker, keep_ms, claims of
--  {id, attempt, queue, expires_ms, park_delay_ms, park_ttl_ms, task, limit_key, priority, is_alone, is_surplus}, call}
local outcomes, owner, worker, keep_ms, claims, call = unpack(args, 1, 6)
local held, calls = P .. 'held:' .. owner, P .. 'calls:' .. owner
local faults = {} -- {id, what is wrong with its record}
-- An owner without a lease, such as one that was frozen past its end, gets one until its next heartbeat:
-- what it claims must not be held for ever if that never comes.
local FIRST_LEASE_MS = 5000

-- How a lost worker ended, as its supervisor said: `exit`, and its memory if that was read.
local function ending(text)
  if not text or text == '' then return ',"exit":null,"peak_mib":null}' end
  local exit, peak = string.match(text, '^(.*), peak memory (%d+) MiB$')
  return ',"exit":' .. cjson.encode(exit or text) .. ',"peak_mib":' .. (peak or 'null') .. '}'
end

-- `times` are for `explain`: of a lost attempt how long it certainly ran, and when the next was to begin.
local function history(attempt, worker, started_at, outcome, error, exit, times)
  return '{"number":' .. attempt .. ',"worker":' .. cjson.encode(worker) .. ',"started_at":' .. started_at ..
    ',"finished_at":' .. now .. ',"outcome":"' .. outcome .. '","error":' .. (error ~= '' and error or 'null') .. times .. ending(exit)
end

-- Every attempt is counted; the records of the first and the latest are kept. Readers rely on that, too.
local FIRST_KEPT, LATEST_KEPT = 5, 20
local function forget_middle(key, attempt)
  local number = attempt - LATEST_KEPT
  if number <= FIRST_KEPT then return end
  redis.call('HDEL', key, 'a:' .. number)
  -- A record of a version that kept them all.
  repeat number = number - 1 until number <= FIRST_KEPT or redis.call('HDEL', key, 'a:' .. number) == 0
end

-- Claims an attempt anew whose claim the store has forgotten, as after a failover, if the record is as it was just
-- before: it has run, and so nothing runs twice. `r` is what `settle` has read.
local function claim_again(id, key, r, token, number)
  local state, queue, limit = r[2], r[3], r[10]
  if owner == '' or (state ~= 'pending' and state ~= 'scheduled' and state ~= 'retrying') then return false end
  if tonumber(r[5]) + 1 ~= number then return false end
  if state == 'pending' then leave_pending(id, queue) else leave_waiting(id, queue) end
  if limit then
    end_hold(id)
    release(id, limit)
  end
  redis.call('HDEL', key, 'parked_at', 'reason')
  redis.call('HSET', key, 'state', 'running', 'attempt', number, 'token', token, 'owner', owner, 'worker', worker,
    'started_at', now)
  count(queue, state, -1)
  enter(id, queue, 'running')
  r[2], r[4], r[5], r[6], r[7], r[10] = 'running', owner, number, worker, now, false
  return true
end

-- What is noted of all together once each is settled, or started: the calling of a command costs more than its work.
local left, ended = {}, {} -- ids by owner; rows for `ended`
local started, unready = {}, {} -- ids by queue: of those that start, and where they were pending

local function add_to(lists, name, id)
  if not lists[name] then lists[name] = {} end
  table.insert(lists[name], id)
end

local function leave(id, owner, queue, state)
  add_to(left, owner, id)
  count(queue, 'running', -1)
  enter(id, queue, state)
end

local function settle(outcome)
  local id, token, kind, result, error, delay_ms, ttl_ms, is_crash, progress, number, is_loss, is_suspect =
    unpack(outcome, 1, 12)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'token', 'state', 'queue', 'owner', 'attempt', 'worker', 'started_at', 'cancel',
    'exit', 'limit', 'suspect', 'out', 'copies')
  if not r[2] then return 'missing' end
  -- Tokens only grow, over every failover: a lower one, or none, is from before the claim.
  local latest = tonumber(r[1] or 0)
  if latest > token then return 'stale' end
  if latest < token and not claim_again(id, key, r, token, number) then return 'forgotten' end
  if r[2] ~= 'running' then return 'accepted' end -- the same outcome, once more
  local queue, owner, attempt = r[3], r[4], r[5]
  assert(queue and owner and tonumber(attempt or nil) and r[6] and r[7], 'the record is not whole')
  -- Its worker acknowledges the message, unless it was lost or hands it back. A suspect starts without one.
  local out = (r[9] or r[11] or kind == 'released') and out_of_running(attempt, r[11], r[12]) or 0
  if r[8] then
    redis.call('SREM', P .. 'cancels:' .. owner, id)
    -- Asked to be cancelled while it ran: it does not run again. Such an outcome has no time to be kept.
    if kind == 'retrying' or kind == 'released' then kind, ttl_ms = 'cancelled', keep_ms end
  end
  if r[10] then release(id, r[10]) end
  local times = ''
  if r[9] then -- it is about this attempt
    times = ',"ran_ms":' .. (redis.call('HGET', key, 'ran_ms') or 'null')
    redis.call('HDEL', key, 'exit', 'ran_ms', 'company', 'own_death')
  end
  if is_crash then redis.call('HINCRBY', key, 'crashes', 1) end
  if is_loss then redis.call('HINCRBY', key, 'losses', 1) end
  if kind == 'released' then
    local to = r[11] and 'scheduled' or 'pending'
    note_gap(id, 'handed_back', r[7])
    redis.call('HSET', key, 'state', to, 'attempt', attempt - 1, 'ready_at', now)
    if r[11] then wait_alone(id, queue, now) else make_pending(id, queue) end
    leave(id, owner, queue, to)
    return 'accepted'
  end
  local label = (is_crash or is_loss) and 'lost' or (kind == 'retrying' and 'failed' or kind)
  -- Who was tried alone and did not take its process along is like any other job again.
  is_suspect = kind == 'retrying' and (is_suspect or (r[11] and label == 'lost'))
  if r[11] and not is_suspect then redis.call('HDEL', key, 'suspect') end
  if kind == 'retrying' then times = times .. ',"retry_at":' .. now + delay_ms end
  local fields = {'state', kind, 'a:' .. attempt, history(attempt, r[6], r[7], label, error, r[9], times)}
  local function add(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
  if out ~= (tonumber(r[12]) or 0) then add('out', out) end
  if progress ~= '' then add('progress', progress) end
  if kind == 'retrying' then
    add('run_at', now + delay_ms)
    add('ready_at', now + delay_ms)
    redis.call('HSETNX', key, 'first_failed_at', now)
    if is_suspect then wait_alone(id, queue, now + delay_ms) else wait_until(id, now + delay_ms) end
  else
    add('finished_at', now)
    if result ~= '' then add('result', result) end
  end
  redis.call('HSET', key, unpack(fields))
  forget_middle(key, attempt)
  leave(id, owner, queue, kind)
  if kind ~= 'retrying' then
    tell_end(id, kind)
    ended[#ended + 1] = kept_until(kind, ttl_ms, out + (tonumber(r[13] or nil) or 0))
    ended[#ended + 1] = id
  end
  return 'accepted'
end

-- Puts a job aside until its limit or its task lets it go: it costs no attempt and holds no slot.
local function hold_back(id, key, queue, task, limit, reason, at, priority, ready_at, out)
  if at then look_at(limit, at) end
  redis.call('SREM', P .. 'slots:' .. limit, id)
  redis.call('SADD', P .. 'limits:' .. task, limit)
  redis.call('ZADD', P .. 'limited:' .. limit, (9 - priority) * 1e13 + ready_at, id)
  redis.call('HSET', key, 'state', 'scheduled', 'reason', reason, 'limit', limit, 'held_in', 'limited:' .. limit,
    'held_at', now, 'out', out)
  leave_pending(id, queue)
  count(queue, 'pending', -1)
  enter(id, queue, 'scheduled')
  return {reason == 'paused' and 'held' or 'limited', 0, 0, 0, 0}
end

-- Takes a slot and a start of the task's limits, or says why not and when to look again.
local function take_slot(id, task, limit)
  local slots, admitted, starts = P .. 'slots:' .. limit, P .. 'admitted:' .. limit, P .. 'starts:' .. limit
  local was_let_go = redis.call('SREM', admitted, id) == 1
  local is_holder = redis.call('SISMEMBER', slots, id)
  local why, at = obstacle(task, limit, redis.call('SCARD', slots) - is_holder, redis.call('SCARD', admitted))
  if not why and not was_let_go and redis.call('EXISTS', P .. 'limited:' .. limit) == 1 then
    why, at = 'limited', now -- others wait longer
  end
  if why then return why, at end
  local spec = limits_of(task)
  if not spec then return end
  redis.call('SADD', slots, id)
  if spec.starts > 0 then
    redis.call('RPUSH', starts, now)
    redis.call('LTRIM', starts, -spec.starts, -1)
    redis.call('PEXPIRE', starts, spec.per_ms)
    if redis.call('EXISTS', P .. 'limited:' .. limit) == 1 then look_at(limit, now) end
  end
end

local first_token, token -- the first and the last that were given out

local function start(id, key, old_queue, queue, attempt, crashes, ready_at, parked_at, first_failed_at)
  token = token and token + 1 or take_tokens(#claims)
  first_token = first_token or token
  redis.call('HSET', key, 'state', 'running', 'attempt', attempt, 'token', token, 'owner', owner,
    'worker', worker, 'started_at', now)
  if queue ~= old_queue then redis.call('HSET', key, 'queue', queue) end
  if parked_at then
    note_gap(id, 'parked', parked_at)
    redis.call('HDEL', key, 'parked_at', 'reason')
  end
  add_to(started, queue, id)
  add_to(unready, old_queue, id) -- what is left in the outbox, `unpublished` skips
  count(old_queue, 'pending', -1)
  enter(id, queue, 'running')
  return {'run', token, crashes, ready_at, now, first_failed_at}
end

-- Puts a job off until another look.
local function park(id, key, queue, parked_at, delay_ms, out)
  redis.call('HSET', key, 'state', 'scheduled', 'reason', 'unknown_task', 'parked_at', parked_at or now,
    'run_at', now + delay_ms, 'out', out)
  leave_pending(id, queue)
  wait_until(id, now + delay_ms)
  count(queue, 'pending', -1)
  enter_for_look(id, queue, 'scheduled', parked_at)
  return {'parked', 0, 0, 0, 0}
end

local function expire(id, key, queue, out, copies)
  redis.call('HSET', key, 'state', 'expired', 'finished_at', now, 'out', out)
  leave_pending(id, queue)
  announce(id, 'expired', keep_ms, out + copies)
  count(queue, 'pending', -1)
  enter(id, queue, 'expired')
  return {'expired', 0, 0, 0, 0}
end

local has_pauses = redis.call('EXISTS', P .. 'paused') == 1
local free = {}

-- Whether no limit and no pause can keep a job of this task from starting, and none waits that one has kept.
local function is_free(task)
  if free[task] == nil then
    free[task] = not has_pauses and not limits_of(task) and redis.call('EXISTS', P .. 'limits:' .. task) == 0
  end
  return free[task]
end

-- Whether the submission of a job without a record was taken back, while its message was on its way.
local function was_withdrawn(id)
  if not redis.call('ZSCORE', P .. 'withdrawn', id) then return false end
  redis.call('ZADD', P .. 'withdrawn', 'LT', now + keep_ms, id)
  return true
end

-- Takes a job from those that are tried alone: it is as ready as one whose message has come.
local function leave_suspects(id, key, queue, state, parked_at)
  redis.call('ZREM', P .. 'suspects:' .. queue, id)
  redis.call('HDEL', key, 'reason')
  redis.call('HSET', key, 'state', 'pending')
  count(queue, state, -1)
  enter_for_look(id, queue, 'pending', parked_at)
end

-- Answers a claim that starts nothing: its message is acknowledged. A suspect comes without one. With the last that was
-- out, a copy or not, there is none any more that the record of a job that has ended must outlive.
local function skip(verdict, id, key, state, attempt, is_alone, queue)
  local nothing = {verdict, 0, 0, 0, 0}
  if is_alone then return nothing end
  local r = redis.call('HMGET', key, 'out', 'copies')
  local out, copies = tonumber(r[1] or nil) or 0, tonumber(r[2] or nil) or 0
  if copies > 0 then
    copies = drop_copy(id, queue)
  elseif out > 0 and attempt >= out then
    out = 0
    redis.call('HSET', key, 'out', 0)
  else
    return nothing
  end
  local is_last = copies == 0 and out == 0
  if is_last and TERMINAL[state] and state ~= 'failed' then redis.call('ZADD', P .. 'ended', 'LT', now + keep_ms, id) end
  return nothing
end

local function replace_others(id) conclude_replacing(id, keep_ms) end

-- Answers the claim of an attempt that runs already, by another message.
local function skip_copy(id, key, queue)
  local copies = tonumber(redis.call('HGET', key, 'copies') or nil) or 0
  if copies > 0 then drop_copy(id, queue) end
  return {'leased', 0, 0, 0, 0}
end

-- Answers the claim of an attempt that runs already. To another worker its message may be a copy, and the one that has
-- begun the attempt unacknowledged. To its own, the answer was lost on its way: it is given again, by this call.
local function repeat_answer(id, key, crashes, ready_at, first_failed_at, queue)
  local r = redis.call('HMGET', key, 'owner', 'token', 'started_at')
  if r[1] ~= owner then return skip_copy(id, key, queue) end
  redis.call('ZADD', calls, unpack(call_row(call, r[2], r[2])))
  return {'run', tonumber(r[2]), crashes, ready_at, tonumber(r[3]), first_failed_at}
end

-- The `out` of a job that is to be tried alone; nothing if it is not any more, or was changed since it was taken.
local function out_of_suspect(id, key, queue)
  local r = redis.call('HMGET', key, 'is_changed', 'out')
  if r[1] or not redis.call('ZSCORE', P .. 'suspects:' .. queue, id) then return end
  return tonumber(r[2]) or 0
end

local function answer_claim(claim)
  local id, attempt, queue, expires_ms, park_delay_ms, park_ttl_ms, task, limit_key, priority, is_alone, is_surplus =
    unpack(claim, 1, 11)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'attempt', 'queue', 'crashes', 'losses', 'created_at', 'ready_at',
    'parked_at', 'first_failed_at', 'limit', 'replaces', 'copies')
  local state, made, old_queue, held_limit = r[1], tonumber(r[2]), r[3], r[10]
  local crashes, ready_at = tonumber(r[4] or 0) + tonumber(r[5] or 0), tonumber(r[7] or now)
  local first_failed_at = tonumber(r[9] or 0)
  if is_surplus and TERMINAL[state] then return skip('leased', id, key, state, attempt, is_alone, queue) end
  if is_surplus then return skip_copy(id, key, queue) end
  if not state then return {was_withdrawn(id) and 'cancelled' or 'unknown', 0, 0, 0, 0} end
  local expires_at = expires_ms > 0 and tonumber(r[6] or nil)
  if expires_at then expires_at = expires_at + expires_ms end
  assert(made and old_queue and (expires_at or expires_ms <= 0), 'the record is not whole')
  if state == 'running' and made == attempt then return repeat_answer(id, key, crashes, ready_at, first_failed_at, queue) end
  if state == 'cancelled' then return skip('cancelled', id, key, state, attempt, is_alone, queue) end
  local suspect_out = is_alone and out_of_suspect(id, key, old_queue)
  if (state ~= 'pending' and not suspect_out) or made + 1 ~= attempt then
    return skip('duplicate', id, key, state, attempt, is_alone, queue)
  end
  if has_pauses and is_paused('queue', queue) then return {'paused', 0, 0, 0, 0} end
  if suspect_out then leave_suspects(id, key, old_queue, state, r[8]) end
  local out = suspect_out or 0 -- where it does not start
  if expires_at and expires_at <= now then
    if held_limit then release(id, held_limit) end
    return expire(id, key, old_queue, out, tonumber(r[12] or nil) or 0)
  end
  if r[11] then apart({id}, replace_others) end -- its message is here: it is safe
  local parked_at = tonumber(r[8] or nil)
  if park_delay_ms > 0 and now - (parked_at or now) < park_ttl_ms then
    if held_limit then release(id, held_limit) end
    return park(id, key, old_queue, parked_at, park_delay_ms, out)
  end
  if (held_limit or not is_free(task)) and park_delay_ms == 0 then
    local limit = task .. '|' .. limit_key
    if held_limit and held_limit ~= limit then release(id, held_limit) end
    local why, at = take_slot(id, task, limit)
    if why then return hold_back(id, key, old_queue, task, limit, why, at, priority, ready_at, out) end
    if limits_of(task) then redis.call('HSET', key, 'limit', limit) elseif held_limit then release(id, limit) end
  end
  return start(id, key, old_queue, queue, attempt, crashes, ready_at, parked_at, first_failed_at)
end

-- Does `act` with each; those whose records are damaged are answered so, and a suspect among them rests.
local function answers_of(items, act, otherwise)
  local answers, texts = apart(items, act)
  for place, text in pairs(texts) do
    local id, _, queue = unpack(items[place], 1, 3)
    answers[place] = otherwise
    faults[#faults + 1] = {id, text}
    if act == answer_claim then redis.call('ZADD', P .. 'suspects:' .. queue, 'XX', now + LATER_MS, id) end
  end
  return answers
end

-- Notes in each of these {command, key, members}. A key that is damaged keeps nothing else from being noted or counted:
-- all is done by now, and `taskyard verify` finds what is not where it should be.
local function note(rows)
  local _, texts = apart(rows, function(row) call_for_all(unpack(row, 1, 3)) end)
  for place, text in pairs(texts) do faults[#faults + 1] = {rows[place][2], text} end
end

local accepted = answers_of(outcomes, settle, 'fault')
local rows = {{'ZADD', P .. 'ended', ended}}
for its_owner, ids in pairs(left) do rows[#rows + 1] = {'SREM', P .. 'held:' .. its_owner, ids} end
note(rows)
local is_late = #claims > 0 and has_ended(owner)
local verdicts = answers_of(claims, is_late and function() return {'gone', 0, 0, 0, 0} end or answer_claim,
  {'fault', 0, 0, 0, 0})
rows = {}
for queue, ids in pairs(unready) do rows[#rows + 1] = {'ZREM', P .. 'ready:' .. queue, ids} end
for _, ids in pairs(started) do rows[#rows + 1] = {'SADD', held, ids} end
if token then rows[#rows + 1] = {'ZADD', calls, call_row(call, first_token, token)} end
note(rows)
for queue, ids in pairs(started) do
  local pace = P .. 'pace:' .. queue .. ':' .. math.floor(now / 10000) -- by it `explain` tells how long others wait
  if redis.call('INCRBY', pace, #ids) == #ids then redis.call('EXPIRE', pace, 400) end
end
if redis.call('EXISTS', held) == 1 then redis.call('ZADD', P .. 'leases', 'NX', now + FIRST_LEASE_MS, owner) end
return answer({accepted, verdicts, faults})
