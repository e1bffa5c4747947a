-- What every script begins with. KEYS[1] is the key prefix; ARGV[1] the arguments as MessagePack; ARGV[2] names the call,
-- of those in `ANSWERED_ONCE`.
-- Keys: j:<id> a job (hash) | jobs all of them by the time of their submission | ready:<queue> pending jobs by the
-- time they became so | waiting by run time | outbox recorded, unconfirmed jobs by time | leases owners by the end
-- of their lease | held:<owner> the jobs it runs | cancels:<owner> those of them to cancel | exits how owners ended |
-- departed owners that have ended, in good order or not, by the time of that, for an hour |
-- beats "<call>|<token>" of an owner: its last claim call that was over with its last heartbeat, the last token then |
-- calls:<owner> its claim calls since, with the tokens that they gave out, "<first>-<last>" |
-- ended finished jobs by the end of their keeping | counts "<queue>|<state>" jobs | fence the last token | tasks,
-- queues, workers | suspects:<queue> jobs that are tried alone next, by the time from which on they may be,
-- or before all of those where somebody has them run now |
-- own_deaths owners that died by themselves | company how many jobs an owner held that is reclaimed piece by piece |
-- totals accepted, withdrawn, pruned|<state>: all records since the beginning | unique:<lock> the job that has a
-- lock | answer:<call> what a call was answered, for some seconds | withdrawn jobs that were forgotten or removed while
-- a message of them may be on its way, by the end of that |
-- declared "<digest>:<first>:<last>;" for each declaration of a task by workers, that which began last at the end
-- Limits: limits "<concurrency>|<starts>|<per_ms>" of a task, out of limits_declared (by workers, with their tasks)
-- and limits_set (by an operator, which wins until it is taken back) | paused "queue|<name>", "task|<name>" | and for each
-- limit ("<task>|<value of its key>"): limited:<limit> jobs held back, by priority and age | slots:<limit> jobs that
-- run or were let go | admitted:<limit> those let go that have not started | starts:<limit> times of the latest
-- starts | limits_due limits with jobs held back, by the time to look again | limits:<task> those of a task.
-- Dead letters: d:<id> one in the index (hash) | dead all of them by the time of their death | dead:q:<queue>,
-- dead:f:<fingerprint> those of one | dead:groups fingerprints by their last death | dead:counts "<queue>|<reason>"
-- | dead:bytes of the messages of a queue | gone:<queue> ids whose messages have to leave the dead-letter queue, by their attempts | gone:queues |
-- replay:<id>, its :todo and :canary | replays all of them by time | replays:active.
-- secret: what digests and cursors of this installation are made with.
-- Audit log: audit_log ids of its entries by time | audit_log:entries the entries by id.
-- Replies: asked {id: JSON of who gets its outcome} | replies jobs that have ended, by the time to send it; and of
-- a job: reply_to and correlation, by which its own submitter is recognised.
-- Explaining: pauses:<queue> "<from>:<to>", its latest hundred pauses, the newest first, without an end while it
-- lasts | pace:<queue>:<ten seconds> attempts that started in them; and of a job, `gaps`, "<kind>:<from>:<to>;"
-- for each time that it was held back, parked, handed back or at an end; `held_at`, since when it is held back; and
-- `first_run_at`, when it was to run first: `run_at` is that of its next attempt.
-- For `withdraw`, of a job: is_shared, somebody else was promised it, or lost a job to it, so it stays.
-- Of a job: out, the attempt of its latest message that was not acknowledged, or 0. While a job is pending, or runs and
-- is no suspect, the message of that attempt is out anyway; of a pending one it is noted all the same where a scheduler
-- sends it: `withdraw` cannot know of that otherwise.
-- Ageing: aging:<queue> ready jobs that have waited for a step or longer, by the time of their next | aged:<queue> up to
-- when jobs became ready that have come there | copies {queue: messages of jobs that have, or had, another} |
-- raised:<queue>:<second> copies that were made in it; and of a job: raised, "<attempt>:<priority>:<since>",
-- what the message of that attempt was raised to, with a "?" behind it until its copy is confirmed; and copies, how many
-- of its messages come to a worker that has nothing to run by them.
local P = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local args = ARGV[1] and cmsgpack.unpack(ARGV[1]) or {}

-- A client whose connection broke before the answer came sends the call again: it gets the answer that it would have got.
local call_key = ARGV[2] and P .. 'answer:' .. ARGV[2]
if call_key then
  local before = redis.call('GET', call_key)
  if before then return before end
end
local changes = {} -- of the counts: number by state by queue

local function job_key(id) return P .. 'j:' .. id end

-- Calls a command once for all members of a key: for most commands the calling costs more than the work.
local function call_for_all(command, key, members)
  for i = 1, #members, 1000 do
    redis.call(command, key, unpack(members, i, math.min(i + 999, #members)))
  end
end

-- Fields of a job; none where its key holds something else. For those who go through many: one may not stop them.
local function fields_of(id, ...)
  local found = redis.pcall('HMGET', job_key(id), ...)
  return found.err and {} or found
end

-- Whether an error of `pcall` is about the data that it met, and not about the server or the caller's rights.
local function is_about_data(error)
  local text = type(error) == 'table' and error.err or tostring(error)
  return not (string.match(text, '^%-?[A-Z]+ ') and not string.match(text, '^%-?WRONGTYPE ') and not string.match(text, '^%-?ERR '))
    and not string.find(text, 'user executing the script', 1, true)
    and not string.find(text, 'ACL failure in script', 1, true) -- as newer versions say it
    and not string.find(text, 'Unknown Redis command', 1, true)
end

-- To be called once nothing more can fail at the job: what has failed is not counted.
local function count(queue, state, n)
  local its = changes[queue]
  if not its then
    its = {}
    changes[queue] = its
  end
  its[state] = (its[state] or 0) + n
end

-- Counts a job in the state that it comes to, and notes it for those who listen.
local transitions = {}
local function enter(id, queue, state)
  count(queue, state, 1)
  transitions[#transitions + 1] = id
  transitions[#transitions + 1] = state
end

-- Does so with a job that no worker knew the task of when it was looked at, at `parked_at`: further looks are not announced.
local function enter_for_look(id, queue, state, parked_at)
  if parked_at then count(queue, state, 1) else enter(id, queue, state) end
end

-- Calls `act` with each item by itself. Answers its answers, and by place what is wrong with the data that some have met:
-- the others go on, and are counted. Else a script that fails has done what it did before.
local function apart(items, act)
  local answers, faults, place = {}, {}, 1
  local function go()
    while place <= #items do
      answers[place] = act(items[place])
      place = place + 1
    end
  end
  while place <= #items do
    local is_fine, found = pcall(go) -- one for all: it costs as much as a command
    if not is_fine then
      if not is_about_data(found) then error(found, 0) end -- without a place before its words
      faults[place] = type(found) == 'table' and found.err or tostring(found)
      place = place + 1
    end
  end
  return answers, faults
end

-- Does so with members of a sorted set. One whose record is damaged comes again a minute later, where the walk through
-- all records has found it meanwhile; it never keeps the others from their turn.
local LATER_MS = 60000
local function each_apart(key, ids, act)
  local _, faults = apart(ids, act)
  for place in pairs(faults) do redis.call('ZADD', key, now + LATER_MS, ids[place]) end
end

-- Announces all jobs that came to other states: one message a call, and where nobody listens one look at that.
local function tell()
  local channel = P .. 'states'
  if #transitions == 0 or redis.call('PUBSUB', 'NUMSUB', channel)[2] == 0 then return end
  local rows = {}
  for i = 1, #transitions, 2 do
    local r = redis.call('HMGET', job_key(transitions[i]), 'task', 'queue', 'attempt')
    rows[#rows + 1] = {transitions[i], transitions[i + 1], r[1] or '', r[2] or '', tonumber(r[3] or 0), now}
  end
  redis.call('PUBLISH', channel, cmsgpack.pack(rows))
end

local function write_counts()
  for queue, its in pairs(changes) do
    for state, n in pairs(its) do
      if n ~= 0 then redis.call('HINCRBY', P .. 'counts', queue .. '|' .. state, n) end
    end
  end
end

local function make_all_pending(ids, queue)
  local rows = {}
  for i, id in ipairs(ids) do rows[2 * i - 1], rows[2 * i] = now, id end
  call_for_all('ZADD', P .. 'ready:' .. queue, rows)
  call_for_all('ZADD', P .. 'outbox', rows)
end

local function make_pending(id, queue) make_all_pending({id}, queue) end

local function leave_pending(id, queue)
  redis.call('ZREM', P .. 'ready:' .. queue, id)
  redis.call('ZREM', P .. 'outbox', id)
end

-- Has a job wait until a time. Who dispatches sleeps until the first job of all is due: a new first one wakes it.
local function wait_until(id, at)
  redis.call('ZADD', P .. 'waiting', at, id)
  if redis.call('ZRANK', P .. 'waiting', id) == 0 then redis.call('PUBLISH', P .. 'due', id) end
end

-- Has a job that may be what kills its workers wait until it is tried alone, from this time on.
local function wait_alone(id, queue, at)
  redis.call('HSET', job_key(id), 'suspect', 1, 'reason', 'suspect')
  redis.call('ZADD', P .. 'suspects:' .. queue, at, id)
end

local function leave_waiting(id, queue)
  redis.call('ZREM', P .. 'waiting', id)
  redis.call('ZREM', P .. 'suspects:' .. queue, id)
end

-- Looks at a limit again at this time, or earlier.
local function look_at(limit, at) redis.call('ZADD', P .. 'limits_due', 'LT', at, limit) end

-- Notes a time that has passed, of those that nothing else on the record tells. Only the latest are kept.
local function note_gap(id, kind, from)
  local gaps = (redis.call('HGET', job_key(id), 'gaps') or '') .. kind .. ':' .. from .. ':' .. now .. ';'
  if #gaps > 4000 then gaps = string.match(string.sub(gaps, -3000), ';(.*)$') end
  redis.call('HSET', job_key(id), 'gaps', gaps)
end

-- Ends the time that a job was held back for, if it was.
local function end_hold(id)
  local r = redis.call('HMGET', job_key(id), 'held_at', 'reason')
  if not r[1] then return end
  note_gap(id, r[2] or 'limited', r[1])
  redis.call('HDEL', job_key(id), 'held_at')
end

-- Takes a job off the limit that it has a slot of or waits for.
local function release(id, limit)
  redis.call('SREM', P .. 'slots:' .. limit, id)
  redis.call('SREM', P .. 'admitted:' .. limit, id)
  redis.call('ZREM', P .. 'limited:' .. limit, id)
  redis.call('HDEL', job_key(id), 'limit', 'held_in')
  if redis.call('EXISTS', P .. 'limited:' .. limit) == 1 then
    look_at(limit, now)
    redis.call('PUBLISH', P .. 'due', limit)
  end
end

local specs = {}

-- What a task is limited to, or false.
local function limits_of(task)
  if specs[task] == nil then
    local concurrency, starts, per_ms = string.match(redis.call('HGET', P .. 'limits', task) or '', '^(%d+)|(%d+)|(%d+)$')
    specs[task] = concurrency and {concurrency = tonumber(concurrency), starts = tonumber(starts), per_ms = tonumber(per_ms)} or false
  end
  return specs[task]
end

-- Has a task's limits `by` ("declared" or "set") be these, or none if the text is empty.
local function set_limits(by, task, text)
  local function write(key, value)
    if value == '' then redis.call('HDEL', P .. key, task) else redis.call('HSET', P .. key, task, value) end
  end
  write('limits_' .. by, text)
  local chosen = redis.call('HGET', P .. 'limits_set', task) or redis.call('HGET', P .. 'limits_declared', task) or ''
  if chosen == (redis.call('HGET', P .. 'limits', task) or '') then return end
  write('limits', chosen)
  for _, limit in ipairs(redis.call('SMEMBERS', P .. 'limits:' .. task)) do look_at(limit, now) end
  redis.call('PUBLISH', P .. 'due', task)
end

local function is_paused(kind, name) return redis.call('HEXISTS', P .. 'paused', kind .. '|' .. name) == 1 end

-- Why no job of this limit may be let go now, and the time to look again (nil: when something changes); or nil.
-- `holders` of its slots and `coming`, which were let go and have not started, are counted.
local function obstacle(task, limit, holders, coming)
  if is_paused('task', task) then return 'paused' end
  local spec = limits_of(task)
  if not spec then return nil end
  if spec.concurrency > 0 and holders >= spec.concurrency then return 'limited' end
  if spec.starts == 0 then return nil end
  if coming >= spec.starts then return 'limited' end
  local nth = tonumber(redis.call('LINDEX', P .. 'starts:' .. limit, coming - spec.starts))
  if nth and nth > now - spec.per_ms then return 'limited', nth + spec.per_ms end
end

-- How long a job of an older version, whose record does not say so, has its lock once it is retried.
local LOCK_MS = 86400000

-- Removes the record of a job that has ended. Its dead letter stays, and has what a replay needs from then on.
local function drop_record(id, state, body, created_at, priority)
  if state == 'failed' and redis.call('EXISTS', P .. 'd:' .. id) == 1 then
    redis.call('HSET', P .. 'd:' .. id, 'body', body, 'created_at', created_at, 'priority', priority)
    local lock = redis.call('HMGET', job_key(id), 'unique', 'lock_ms')
    if lock[1] then redis.call('HSET', P .. 'd:' .. id, 'unique', lock[1], 'lock_ms', lock[2] or LOCK_MS) end
  end
  redis.call('DEL', job_key(id))
  redis.call('ZREM', P .. 'ended', id)
  redis.call('ZREM', P .. 'jobs', id)
end

-- For so long a message is waited for that is out, though its job has ended or is forgotten.
local UNSEEN_MS = 30 * 86400000

local is_any_requested

-- Note that the outcome of this job is owed to those who requested it.
local function owe_reply(id)
  if is_any_requested == nil then is_any_requested = redis.call('EXISTS', P .. 'asked') == 1 end
  if not is_any_requested or redis.call('HEXISTS', P .. 'asked', id) == 0 then return end
  redis.call('ZADD', P .. 'replies', now, id)
  redis.call('PUBLISH', P .. 'owed', id)
end

-- Whether a recipient of a job's outcome is its submitter, going by what the record says of that.
local function is_submitters(recipient, reply_to, correlation)
  return recipient[1] == reply_to or (recipient[2] ~= '' and recipient[2] == correlation)
end

-- Notes that copies of a queue are gone.
local function lower_copies(queue, n)
  if redis.call('HINCRBY', P .. 'copies', queue, -n) <= 0 then redis.call('HDEL', P .. 'copies', queue) end
end

-- Notes that a copy of a job's message was acknowledged; answers how many are left.
local function drop_copy(id, queue)
  lower_copies(queue, 1)
  return redis.call('HINCRBY', job_key(id), 'copies', -1)
end

-- What the message of this attempt was raised to, since when, and whether its copy is still to be confirmed; or nothing.
local function risen(text, attempt)
  local its, priority, since, mark = string.match(text or '', '^(%d+):(%d):(%d+)(%??)$')
  if its and tonumber(its) == attempt then return tonumber(priority), tonumber(since), mark == '?' end
end

-- A row of the jobs whose messages are to be published.
-- The first of these jobs whose messages take `max_bytes` at most together, and one at least: an answer of many large
-- ones would take seconds in which Redis serves nobody else.
local function within(max_bytes, ids)
  local bytes, some = 0, {}
  for i, id in ipairs(ids) do
    local size = redis.pcall('HSTRLEN', job_key(id), 'body')
    bytes = bytes + (type(size) == 'number' and size or 0)
    if i > 1 and bytes > max_bytes then break end
    some[i] = id
  end
  return some
end

local function ready_row(id, queue, body, made, raised, due_at, replaces)
  local attempt = made + 1
  return {id, queue, body, attempt, due_at, now, replaces and true or false, risen(raised, attempt) or -1}
end

-- Until when the record of a job that has ended is kept. It outlives messages that are `out`, in whatever backlog or
-- paused queue they wait: without it the job would be taken for a new one, and run.
local function kept_until(state, ttl_ms, out)
  if out > 0 and state ~= 'failed' then ttl_ms = math.max(ttl_ms, UNSEEN_MS) end -- those have a long time of their own
  return now + ttl_ms
end

local function tell_end(id, state)
  owe_reply(id)
  redis.call('PUBLISH', P .. 'done:' .. id, state)
end

local function announce(id, state, ttl_ms, out)
  redis.call('ZADD', P .. 'ended', kept_until(state, ttl_ms, out), id)
  tell_end(id, state)
end

-- The `out` of a running job: what was tried alone had no message of its own.
local function out_of_running(attempt, is_suspect, noted)
  if is_suspect then return tonumber(noted) or 0 end
  return tonumber(attempt)
end

-- Take a dead letter out of the index; answers its queue and attempts, or nothing.
local function unindex(id)
  local key = P .. 'd:' .. id
  local r = redis.call('HMGET', key, 'queue', 'reason', 'fingerprint', 'attempts', 'bytes')
  if not r[1] then return end
  local group = P .. 'dead:f:' .. r[3]
  redis.call('DEL', key)
  redis.call('ZREM', P .. 'dead', id)
  redis.call('ZREM', P .. 'dead:q:' .. r[1], id)
  redis.call('ZREM', group, id)
  local last = redis.call('ZREVRANGE', group, 0, 0, 'WITHSCORES')
  if last[2] then redis.call('ZADD', P .. 'dead:groups', last[2], r[3])
  else redis.call('ZREM', P .. 'dead:groups', r[3]) end
  redis.call('HINCRBY', P .. 'dead:counts', r[1] .. '|' .. r[2], -1)
  local bytes = tonumber(r[5]) or 0
  if bytes > 0 then redis.call('HINCRBY', P .. 'dead:bytes', r[1], -bytes) end -- -0 is no number to Redis
  return r[1], tonumber(r[4])
end

-- Note that the messages of this id, up to this attempt, have to leave the dead-letter queue.
local function remove_message(id, queue, attempts)
  redis.call('ZADD', P .. 'gone:' .. queue, 'GT', attempts, id)
  redis.call('SADD', P .. 'gone:queues', queue)
end

local function drop_letter(id)
  local queue, attempts = unindex(id)
  if queue then remove_message(id, queue, attempts) end
  return queue ~= nil
end

-- Cancels a job that does not run.
local function cancel_idle(id, state, queue, limit, ttl_ms)
  if state == 'pending' then leave_pending(id, queue) else leave_waiting(id, queue) end
  if limit then
    end_hold(id)
    release(id, limit)
  end
  local r = redis.call('HMGET', job_key(id), 'parked_at', 'out', 'attempt', 'copies')
  local out = state == 'pending' and (tonumber(r[3]) or 0) + 1 or tonumber(r[2]) or 0
  if r[1] then note_gap(id, 'parked', r[1]) end
  redis.call('HSET', job_key(id), 'state', 'cancelled', 'finished_at', now, 'out', out)
  redis.call('HDEL', job_key(id), 'parked_at', 'reason', 'suspect')
  announce(id, 'cancelled', ttl_ms, out + (tonumber(r[4] or nil) or 0))
  count(queue, state, -1)
  enter(id, queue, 'cancelled')
end

-- Gives out tokens in a row and returns the first. By the clock: after a failover that lost some of them, counting
-- on would give them to others, and then an outcome of who had them before would be taken for theirs.
local function take_tokens(count)
  local last = tonumber(redis.call('GET', P .. 'fence') or 0)
  local first = math.max(last + 1, clock[1] * 1000000 + clock[2])
  redis.call('SET', P .. 'fence', first + count - 1)
  return first
end

-- What to add to `calls` of a claim call that gave out these tokens, or one again. Of a call without a number it is not
-- known when it is over.
local function call_row(call, first, last)
  return {'GT', call > 0 and call or 'inf', string.format('%.0f-%.0f', first, last)}
end

-- Whether one of these ranges of tokens has this one.
local function is_within(ranges, token)
  for _, range in ipairs(ranges) do
    local first, last = string.match(range, '^(%d+)-(%d+)$')
    if first and tonumber(first) <= token and token <= tonumber(last) then return true end
  end
  return false
end

-- Whether a claim was granted to an owner that was done with this call when it last sent a heartbeat: it does not run
-- the job and never will. One that was granted before that heartbeat was dealt with there.
local function is_unheard(owner, token)
  local over, last = string.match(redis.call('HGET', P .. 'beats', owner) or '', '^(%d+)|(%d+)$')
  if not over or not token or token <= tonumber(last) then return false end
  local calls = P .. 'calls:' .. owner
  return is_within(redis.call('ZRANGEBYSCORE', calls, '-inf', over), token)
    and not is_within(redis.call('ZRANGEBYSCORE', calls, '(' .. over, '+inf'), token)
end

-- Takes a running job back from an owner that does not run it: it costs no attempt, and is due at once. Its message
-- may be gone: one that comes while a job is held is acknowledged. Answers whether its record tells enough for that.
local function give_back(id, owner, keep_ms)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'queue', 'attempt', 'started_at', 'limit', 'cancel', 'suspect', 'out', 'copies')
  if not (r[1] and tonumber(r[2] or nil) and r[3]) then return false end
  local out = out_of_running(r[2], r[6], r[7])
  redis.call('SREM', P .. 'held:' .. owner, id)
  redis.call('SREM', P .. 'cancels:' .. owner, id)
  if r[4] then release(id, r[4]) end
  note_gap(id, 'handed_back', r[3])
  redis.call('HDEL', key, 'token')
  redis.call('HSET', key, 'attempt', r[2] - 1, 'out', out)
  if r[5] then
    redis.call('HSET', key, 'state', 'cancelled', 'finished_at', now)
    announce(id, 'cancelled', keep_ms, out + (tonumber(r[8] or nil) or 0))
  else
    redis.call('HSET', key, 'state', 'scheduled', 'run_at', now, 'ready_at', now)
    if r[6] then wait_alone(id, r[1], now) else wait_until(id, now) end
  end
  count(r[1], 'running', -1)
  enter(id, r[1], r[5] and 'cancelled' or 'scheduled')
  return true
end

-- Whether an owner is known to have ended: what still comes of it was on its way by then.
local function has_ended(owner) return redis.call('ZSCORE', P .. 'departed', owner) end

local TERMINAL = {completed = true, failed = true, cancelled = true, expired = true}

-- Whether the attempt of a dead letter will fail its job, by an outcome that is on its way: it runs, or the store has
-- forgotten its claim, as after a failover, and takes the outcome all the same.
local function is_about_to_fail(state, made, attempts)
  return not TERMINAL[state] and tonumber(made) == (state == 'running' and attempts or attempts - 1)
end

-- Jobs that wait for a confirm to replace one another; a bound, so that no mistake stops the server.
local MOST_RIVALS = 1000

-- Answers the living job that has a lock, and its state. One that was to replace it, and has ended before it was
-- safe, has left it the lock.
local function lock_holder(lock)
  local id = redis.call('GET', P .. 'unique:' .. lock)
  for _ = 1, MOST_RIVALS do
    if not id then return end
    local r = redis.call('HMGET', job_key(id), 'state', 'replaces')
    if r[1] and not TERMINAL[r[1]] then return id, r[1] end
    id = r[2]
  end
end

local function replace(id, by, keep_ms)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'queue', 'owner', 'limit')
  local state = r[1]
  if not state or TERMINAL[state] then return end
  redis.call('HSET', key, 'replaced_by', by)
  -- Who submitted it may still think that it failed: of the two that stays now, or nothing would run.
  redis.call('HSET', job_key(by), 'is_shared', 1)
  if state == 'running' then
    redis.call('HSET', key, 'cancel', 1)
    redis.call('SADD', P .. 'cancels:' .. r[3], id)
    return
  end
  cancel_idle(id, state, r[2], r[4], keep_ms)
  redis.call('HSET', key, 'reason', 'replaced')
end

-- Cancels what a job replaces, now that the job is safe; of several at a time the latest stays, whichever was safe first.
local function conclude_replacing(id, keep_ms)
  local by = id
  for _ = 1, MOST_RIVALS do
    local other = redis.call('HGET', job_key(id), 'replaces')
    if not other then return end
    redis.call('HDEL', job_key(id), 'replaces', 'locked_until')
    replace(other, by, keep_ms)
    id = other
  end
end

local function answer(value)
  write_counts()
  tell()
  local packed = cmsgpack.pack(value)
  if call_key then redis.call('SET', call_key, packed, 'PX', 10000) end
  return packed
end
