-- args: {cursor, count, ids, is_repair}: checks that records are where their state says: about `count`
-- of all from `cursor` on ("0": from the beginning, "": none), and those of `ids`.
-- Answers {next cursor, checked, findings of {id, queue, state, problem, is_repaired}}.
local cursor, limit, ids, is_repair = args[1], args[2], args[3], args[4]
local findings, checked = {}, 0
local KEEP_MS = 86400000

local function waiting_problem(id, r)
  local key = r.held_in or 'waiting'
  if redis.call('ZSCORE', P .. key, id) then return end
  if r.suspect and redis.call('ZSCORE', P .. 'suspects:' .. r.queue, id) then return end
  return 'not_waiting', function()
    if r.held_in and r.limit then
      redis.call('ZADD', P .. key, (9 - (tonumber(r.priority) or 5)) * 1e13 + tonumber(r.ready_at or now), id)
      redis.call('SADD', P .. 'limits:' .. r.task, r.limit)
      look_at(r.limit, now)
    elseif r.suspect then
      wait_alone(id, r.queue, now)
    else
      redis.call('ZADD', P .. 'waiting', tonumber(r.run_at or now), id)
    end
    redis.call('PUBLISH', P .. 'due', id)
  end
end

local function pending_problem(id, r)
  if redis.call('ZSCORE', P .. 'ready:' .. r.queue, id) then return end
  return 'not_ready', function() make_pending(id, r.queue) end
end

local function running_problem(id, r)
  local is_held = r.owner and redis.call('SISMEMBER', P .. 'held:' .. r.owner, id) == 1
  if is_held and redis.call('ZSCORE', P .. 'leases', r.owner) then
    if not is_unheard(r.owner, tonumber(r.token or 0)) then return end
    return 'not_run', function() return give_back(id, r.owner, KEEP_MS) end
  end
  return 'not_held', function() -- a lease that has ended: `reclaim` takes the job over
    local owner = r.owner or 'nobody'
    redis.call('HSET', job_key(id), 'owner', owner)
    redis.call('SADD', P .. 'held:' .. owner, id)
    redis.call('ZADD', P .. 'leases', 'NX', now, owner)
  end
end

local function ended_problem(id, r)
  if redis.call('ZSCORE', P .. 'ended', id) then return end
  local keep_ms = (tonumber(r.out) or 0) + (tonumber(r.copies) or 0) > 0 and UNSEEN_MS or KEEP_MS
  return 'not_ended', function() redis.call('ZADD', P .. 'ended', now + keep_ms, id) end
end

local function problem_of(id, r)
  if r.state == 'scheduled' or r.state == 'retrying' then return waiting_problem(id, r) end
  if r.state == 'pending' then return pending_problem(id, r) end
  if r.state == 'running' then return running_problem(id, r) end
  if TERMINAL[r.state] then return ended_problem(id, r) end
  return 'unknown_state'
end

local FIELDS = {'state', 'queue', 'owner', 'held_in', 'limit', 'priority', 'ready_at', 'run_at', 'task',
  'token', 'suspect', 'out', 'copies'}
local is_seen = {}
local function check(id)
  if is_seen[id] then return end
  is_seen[id] = true
  checked = checked + 1
  local values, r = fields_of(id, unpack(FIELDS)), {}
  for i, name in ipairs(FIELDS) do r[name] = values[i] end
  local problem, mend = 'no_record', nil
  if r.state and r.queue then problem, mend = problem_of(id, r) end
  if not problem then return end
  local is_repaired = is_repair and mend ~= nil and mend() ~= false
  findings[#findings + 1] = {id, r.queue or '', r.state or '', problem, is_repaired}
end

local next_cursor = ''
if cursor ~= '' then
  local page = redis.call('ZSCAN', P .. 'jobs', cursor, 'COUNT', limit)
  next_cursor = page[1]
  for i = 1, #page[2], 2 do check(page[2][i]) end
end
for _, id in ipairs(ids) do
  if redis.call('ZSCORE', P .. 'jobs', id) then check(id) end
end
return answer({next_cursor, checked, findings})
