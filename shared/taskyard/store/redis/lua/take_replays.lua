-- args: {limit, lease_ms}; answers {batches of {replay id, edit, ids}, whether a replay goes on}, each id held for
-- `lease_ms`
local limit, lease_ms = args[1], args[2]
local batches = {}

local function finish(id, state, reason)
  redis.call('HSET', P .. 'replay:' .. id, 'state', state, 'reason', reason, 'finished_at', now)
  redis.call('EXPIRE', P .. 'replay:' .. id, 2592000)
  redis.call('DEL', P .. 'replay:' .. id .. ':todo', P .. 'replay:' .. id .. ':canary')
  redis.call('SREM', P .. 'replays:active', id)
end

-- How many the rate allows now; what is not used within a second is lost.
local function allowance(id, key, rate)
  if rate <= 0 then return limit end
  local at = math.max(tonumber(redis.call('HGET', key, 'at')), now - math.max(1000, 1000 / rate))
  local allowed = math.min(limit, math.floor((now - at) * rate / 1000))
  redis.call('HSET', key, 'at', string.format('%.3f', at + allowed * 1000 / rate))
  return allowed
end

-- 'passed', 'waiting', or why not.
local function canary_verdict(id, todo, canaries)
  for _, job in ipairs(redis.call('SMEMBERS', canaries)) do
    if redis.call('ZSCORE', todo, job) then return 'waiting' end
    local state = redis.call('HGET', job_key(job), 'state') or 'gone'
    if state == 'failed' or state == 'cancelled' or state == 'expired' or state == 'gone' then
      return 'job ' .. job .. ' of the canary is ' .. state
    end
    if state ~= 'completed' then return 'waiting' end
  end
  return 'passed'
end

-- While the canary is out: those of it whose scheduler died, then new ones until it is complete.
local function of_canary(todo, canaries, allowed, size)
  local ids = {}
  for _, job in ipairs(redis.call('SMEMBERS', canaries)) do
    local score = redis.call('ZSCORE', todo, job)
    if score and tonumber(score) <= now and #ids < allowed then ids[#ids + 1] = job end
  end
  local free = math.min(allowed - #ids, size - redis.call('SCARD', canaries))
  if free <= 0 then return ids end
  for _, job in ipairs(redis.call('ZRANGEBYSCORE', todo, '-inf', now, 'LIMIT', 0, size + free)) do
    if free > 0 and redis.call('SADD', canaries, job) == 1 then
      ids[#ids + 1] = job
      free = free - 1
    end
  end
  return ids
end

local function pick(todo, canaries, allowed, size)
  if allowed <= 0 then return {} end
  local ids = size > 0 and of_canary(todo, canaries, allowed, size)
    or redis.call('ZRANGEBYSCORE', todo, '-inf', now, 'LIMIT', 0, allowed)
  for _, job in ipairs(ids) do redis.call('ZADD', todo, now + lease_ms, job) end
  return ids
end

local function take(id)
  local key, todo = P .. 'replay:' .. id, P .. 'replay:' .. id .. ':todo'
  local canaries = key .. ':canary'
  local r = redis.call('HMGET', key, 'rate', 'canary', 'edit', 'passed')
  local size = r[4] and 0 or tonumber(r[2] or 0)
  local left = redis.call('ZCARD', todo)
  if size > 0 and (redis.call('SCARD', canaries) >= size or left == 0) then
    local verdict = canary_verdict(id, todo, canaries)
    if verdict == 'passed' then
      redis.call('HSET', key, 'passed', 1, 'state', 'running')
      size = 0
    elseif verdict ~= 'waiting' then return finish(id, 'stopped', verdict)
    else redis.call('HSET', key, 'state', 'waiting_for_canary') end
  end
  if size == 0 and left == 0 then return finish(id, 'completed', '') end
  local ids = pick(todo, canaries, allowance(id, key, tonumber(r[1] or 0)), size)
  if #ids > 0 then batches[#batches + 1] = {id, r[3] or '', ids} end
end
for _, id in ipairs(redis.call('SMEMBERS', P .. 'replays:active')) do
  if redis.call('EXISTS', P .. 'replay:' .. id) == 1 then take(id) else redis.call('SREM', P .. 'replays:active', id) end
end
return answer({batches, redis.call('EXISTS', P .. 'replays:active') == 1})
