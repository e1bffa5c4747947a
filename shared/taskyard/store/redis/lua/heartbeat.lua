-- args: {owner, info, lease_ms, running of {id, token}}
local owner, info, lease_ms, running = unpack(args, 1, 4)
redis.call('ZADD', P .. 'leases', now + lease_ms, owner)
redis.call('HSET', P .. 'workers', owner, now .. '|' .. info)
local lost = {}
for _, held in ipairs(running) do
  local r = redis.call('HMGET', job_key(held[1]), 'token', 'state')
  if tonumber(r[1] or -1) ~= held[2] or r[2] ~= 'running' then lost[#lost + 1] = held[1] end
end
local paused = {}
for _, field in ipairs(redis.call('HKEYS', P .. 'paused')) do
  local queue = string.match(field, '^queue|(.*)$')
  if queue then paused[#paused + 1] = queue end
end
return answer({redis.call('SMEMBERS', P .. 'cancels:' .. owner), lost, paused})
