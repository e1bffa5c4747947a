-- args: {owner, exit_reason, is_own_death}; an empty reason means that it stopped in good order. Answers whether it
-- held jobs.
local owner, exit_reason, is_own_death = args[1], args[2], args[3]
-- Longer than a network holds up a call of a process that has ended.
local DEPARTED_MS = 3600000
redis.call('ZADD', P .. 'departed', now, owner)
redis.call('ZREMRANGEBYSCORE', P .. 'departed', '-inf', now - DEPARTED_MS)
redis.call('DEL', P .. 'cancels:' .. owner)
redis.call('HDEL', P .. 'beats', owner)
redis.call('DEL', P .. 'calls:' .. owner)
-- A child that tries suspects alone dies of them: their attempts show that, and another takes its place.
local function is_lone()
  local row = redis.pcall('HGET', P .. 'workers', owner) -- where that is damaged the lease ends all the same
  local is_json, info = pcall(cjson.decode, type(row) == 'string' and string.match(row, '^%d+|(.*)$') or '')
  return is_json and type(info) == 'table' and info.is_lone == true
end
if exit_reason == '' or is_lone() then redis.call('HDEL', P .. 'workers', owner) end
local has_jobs = redis.call('EXISTS', P .. 'held:' .. owner) == 1
if has_jobs then
  if exit_reason ~= '' then redis.call('HSET', P .. 'exits', owner, exit_reason) end
  if is_own_death then redis.call('SADD', P .. 'own_deaths', owner) end
  redis.call('ZADD', P .. 'leases', now, owner)
else
  redis.call('ZREM', P .. 'leases', owner)
end
return answer(has_jobs)
