-- Answers the ids of all jobs that workers hold.
local ids = {}
for _, owner in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do
  for _, id in ipairs(redis.call('SMEMBERS', P .. 'held:' .. owner)) do ids[#ids + 1] = id end
end
return answer(ids)
