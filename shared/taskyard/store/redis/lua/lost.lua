-- args: {owner, lease_ms, limit, gap_ms}
-- Answers {jobs as `Lost` has them, ids of records that cannot even be taken}
local owner, lease_ms, limit, gap_ms = unpack(args, 1, 4)
if gap_ms > 0 then
  local seen_at = tonumber(redis.call('GET', P .. 'leases_seen_at') or now)
  if now < seen_at or now - seen_at >= gap_ms then return answer({{}, {}}) end
end
local leases, exits, companies, own_deaths = P .. 'leases', P .. 'exits', P .. 'company', P .. 'own_deaths'
local ends, picked, searched, lost, broken = {}, {}, {}, {}, {}

-- A number as scripts write it, or nil: what merely looks like one would be refused by HINCRBY or by JSON, later.
local function whole(text)
  return text and (text == '0' or #text <= 15 and string.find(text, '^[1-9]%d*$')) and tonumber(text) or nil
end

-- When a worker died: as `end_lease` noted, else when it was last heard of.
local function died_at(dead, exit, lease_end)
  if exit then return lease_end end
  local row = redis.call('HGET', P .. 'workers', dead)
  return math.min(lease_end, row and tonumber(string.match(row, '^%d+')) or lease_end)
end

-- Chooses some of what a dead owner holds. It holds them on until they are taken: nothing that stops this script
-- half-way leaves a job with nobody.
local function pick(dead)
  local held = P .. 'held:' .. dead
  local ids = redis.call('SRANDMEMBER', held, limit - #picked)
  local exit = redis.call('HGET', exits, dead)
  local died = died_at(dead, exit, ends[dead])
  local company = whole(redis.call('HGET', companies, dead)) or redis.call('SCARD', held)
  if not exit and has_ended(dead) then company = 0 end -- in good order: nothing that it held is to blame
  local is_own_death = redis.call('SISMEMBER', own_deaths, dead)
  for _, id in ipairs(ids) do
    picked[#picked + 1] = {id, dead, exit or '', died, company, is_own_death}
  end
  searched[#searched + 1] = {dead, company, #ids}
end

-- Forgets a dead owner once it holds nothing.
local function conclude(dead, company, count)
  if redis.call('EXISTS', P .. 'held:' .. dead) == 0 then
    redis.call('ZREM', leases, dead)
    redis.call('HDEL', exits, dead)
    redis.call('HDEL', companies, dead)
    redis.call('SREM', own_deaths, dead)
    redis.call('DEL', P .. 'cancels:' .. dead, P .. 'calls:' .. dead)
  elseif count > 0 and dead ~= owner then
    redis.call('HSET', companies, dead, company) -- the rest gets the same, a pass later
  end
end

local NUMBERS = {'attempt', 'crashes', 'started_at', 'ran_ms', 'losses', 'company', 'own_death'}
local FIELDS = {'state', 'owner', 'queue', 'body', 'worker', 'exit', unpack(NUMBERS)}

-- What is to be a number and is none is forgotten, and what a record must have is made up where it has not: its job
-- runs again or ends as unreadable, and the others go on.
local function mend(key, r, made_up)
  for _, name in ipairs(NUMBERS) do
    local number = whole(r[name])
    if r[name] and not number then redis.call('HDEL', key, name) end
    r[name] = number
  end
  for name, value in pairs(made_up) do
    if not r[name] then
      redis.call('HSET', key, name, value)
      r[name] = value
    end
  end
end

-- Takes one over, if it is still what its owner ran.
local function take(token, id, dead, exit, died, company, is_own_death)
  local key = job_key(id)
  local values, r = redis.call('HMGET', key, unpack(FIELDS)), {}
  for i, name in ipairs(FIELDS) do r[name] = values[i] end
  if r.state ~= 'running' or r.owner ~= dead then return false end
  mend(key, r, {queue = 'default', body = '', worker = dead, attempt = 1, started_at = died})
  -- A job that a reclaimer lost in its turn: what was noted is about its worker, not about the reclaimer.
  if r.exit then exit, company, is_own_death = r.exit, r.company or 1, r.own_death or 0 end
  local ran_ms = r.ran_ms or math.max(0, died - r.started_at)
  redis.call('SADD', P .. 'held:' .. owner, id)
  redis.call('ZADD', leases, now + lease_ms, owner)
  redis.call('HSET', key, 'token', token, 'owner', owner, 'exit', exit, 'ran_ms', ran_ms, 'company', company,
    'own_death', is_own_death)
  lost[#lost + 1] = {id, token, r.queue, r.body, r.attempt, r.crashes or 0, r.worker, ran_ms, exit, r.losses or 0,
    company, is_own_death == 1}
  return true
end

-- All are picked before one is taken: the dead may be `owner` itself, whom it is given back to.
local dead = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'WITHSCORES')
local owners = {}
for i = 1, #dead, 2 do
  owners[#owners + 1] = dead[i]
  ends[dead[i]] = tonumber(dead[i + 1])
end
each_apart(leases, owners, pick)
local token = #picked > 0 and take_tokens(#picked) - 1
local taken, faults = apart(picked, function(each)
  token = token + 1
  return take(token, unpack(each, 1, 6))
end)
for place, each in ipairs(picked) do
  local id, from = each[1], each[2]
  if faults[place] then broken[#broken + 1] = id end -- which the walk through all records finds
  if not (taken[place] and from == owner) then redis.call('SREM', P .. 'held:' .. from, id) end
end
for _, each in ipairs(searched) do conclude(unpack(each, 1, 3)) end
return answer({lost, broken})
