-- args: {owner, lease_ms, limit}
local owner, lease_ms, limit = unpack(args, 1, 3)
local leases, exits = P .. 'leases', P .. 'exits'
local picked, lost = {}, {}
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
  for _, id in ipairs(redis.call('SPOP', held, limit - #picked)) do
    picked[#picked + 1] = {id, dead, exit or '', died}
  end
  if redis.call('EXISTS', held) == 0 then
    redis.call('ZREM', leases, dead)
    redis.call('HDEL', exits, dead)
    redis.call('DEL', P .. 'cancels:' .. dead)
  end
end

local function take(id, dead, exit, died)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'owner', 'queue', 'body', 'attempt', 'crashes', 'worker',
    'started_at', 'exit', 'ran_ms')
  if r[1] ~= 'running' or r[2] ~= dead then return end
  -- A job that a reclaimer lost in its turn: what is known is about its worker, not about the reclaimer.
  exit = r[9] or exit
  local ran_ms = tonumber(r[10] or math.max(0, died - tonumber(r[8])))
  token = token and token + 1 or take_tokens(#picked)
  redis.call('HSET', key, 'token', token, 'owner', owner, 'exit', exit, 'ran_ms', ran_ms)
  redis.call('SADD', P .. 'held:' .. owner, id)
  redis.call('ZADD', leases, now + lease_ms, owner)
  lost[#lost + 1] = {id, token, r[3], r[4], tonumber(r[5]), tonumber(r[6] or 0), r[7], ran_ms, exit}
end

-- All are picked before one is taken: the dead may be `owner` itself, whom it is given back to.
local dead = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'WITHSCORES')
for i = 1, #dead, 2 do pick(dead[i], tonumber(dead[i + 1])) end
for _, each in ipairs(picked) do take(unpack(each, 1, 4)) end
return answer(lost)
