-- args: {owner, lease_ms, limit, gap_ms}
-- Answers {jobs as `Lost` has them, ids of records that cannot even be taken}
local owner, lease_ms, limit, gap_ms = unpack(args, 1, 4)
if gap_ms > 0 then
  local seen_at = tonumber(redis.call('GET', P .. 'leases_seen_at') or now)
  if now < seen_at or now - seen_at >= gap_ms then return answer({{}, {}}) end
end
local leases, exits, companies, own_deaths = P .. 'leases', P .. 'exits', P .. 'company', P .. 'own_deaths'
local picked, lost, broken = {}, {}, {}
local token -- the last that was given out

-- When a worker died: as `end_lease` or `leave` told, else when it was last heard of.
local function died_at(dead, exit, lease_end)
  if exit then return lease_end end
  local row = redis.call('HGET', P .. 'workers', dead)
  return math.min(lease_end, row and tonumber(string.match(row, '^%d+')) or lease_end)
end

local function pick(dead, lease_end)
  local held = P .. 'held:' .. dead
  local exit = redis.call('HGET', exits, dead)
  local died = died_at(dead, exit, lease_end)
  local company = tonumber(redis.call('HGET', companies, dead) or redis.call('SCARD', held))
  local is_own_death = redis.call('SISMEMBER', own_deaths, dead)
  local ids = redis.call('SPOP', held, limit - #picked)
  for _, id in ipairs(ids) do
    picked[#picked + 1] = {id, dead, exit or '', died, company, is_own_death}
  end
  if redis.call('EXISTS', held) == 0 then
    redis.call('ZREM', leases, dead)
    redis.call('HDEL', exits, dead)
    redis.call('HDEL', companies, dead)
    redis.call('SREM', own_deaths, dead)
    redis.call('DEL', P .. 'cancels:' .. dead)
  elseif #ids > 0 then
    redis.call('HSET', companies, dead, company) -- the rest is told the same, a pass later
  end
end

-- What a record must have is made up where it has not: its job ends as unreadable, and the others go on.
local function mend(key, r, died)
  local function need(index, name, value)
    if r[index] then return end
    r[index] = value
    redis.call('HSET', key, name, value)
  end
  need(3, 'queue', 'default')
  need(4, 'body', '')
  if not tonumber(r[5] or nil) then r[5] = false end
  need(5, 'attempt', 1)
  need(7, 'worker', r[2])
  if not tonumber(r[8] or nil) then r[8] = false end
  need(8, 'started_at', died)
end

local function take(id, dead, exit, died, company, is_own_death)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'owner', 'queue', 'body', 'attempt', 'crashes', 'worker',
    'started_at', 'exit', 'ran_ms', 'losses', 'company', 'own_death')
  if r[1] ~= 'running' or r[2] ~= dead then return end
  mend(key, r, died)
  -- A job that a reclaimer lost in its turn: what is known is about its worker, not about the reclaimer.
  if r[9] then
    exit, company, is_own_death = r[9], tonumber(r[12] or 1), tonumber(r[13] or 0)
  end
  local ran_ms = tonumber(r[10] or math.max(0, died - tonumber(r[8])))
  token = token and token + 1 or take_tokens(#picked)
  redis.call('HSET', key, 'token', token, 'owner', owner, 'exit', exit, 'ran_ms', ran_ms, 'company', company,
    'own_death', is_own_death)
  redis.call('SADD', P .. 'held:' .. owner, id)
  redis.call('ZADD', leases, now + lease_ms, owner)
  lost[#lost + 1] = {id, token, r[3], r[4], tonumber(r[5]), tonumber(r[6] or 0), r[7], ran_ms, exit,
    tonumber(r[11] or 0), company, is_own_death == 1}
end

-- All are picked before one is taken: the dead may be `owner` itself, whom it is given back to.
local dead = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'WITHSCORES')
for i = 1, #dead, 2 do pick(dead[i], tonumber(dead[i + 1])) end
for _, each in ipairs(picked) do
  if not pcall(take, unpack(each, 1, 6)) then broken[#broken + 1] = each[1] end
end
return answer({lost, broken})
