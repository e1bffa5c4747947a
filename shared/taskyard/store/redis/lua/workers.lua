-- Answers a list of {owner, info, last_seen_at, is_alive, running}
local workers = {}
local rows = redis.call('HGETALL', P .. 'workers')
for i = 1, #rows, 2 do
  local owner = rows[i]
  local seen, info = string.match(rows[i + 1], '^(%d+)|(.*)$')
  local lease_end = tonumber(redis.call('ZSCORE', P .. 'leases', owner) or 0)
  workers[#workers + 1] = {owner, info, tonumber(seen), lease_end > now, redis.call('SCARD', P .. 'held:' .. owner)}
end
return answer(workers)
