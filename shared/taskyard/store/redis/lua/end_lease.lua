-- args: {owner, exit_reason}; an empty reason means that it stopped in good order.
local owner, exit_reason = args[1], args[2]
redis.call('DEL', P .. 'cancels:' .. owner)
redis.call('HDEL', P .. 'beats', owner)
if exit_reason == '' then redis.call('HDEL', P .. 'workers', owner) end
if redis.call('EXISTS', P .. 'held:' .. owner) == 1 then
  if exit_reason ~= '' then redis.call('HSET', P .. 'exits', owner, exit_reason) end
  redis.call('ZADD', P .. 'leases', now, owner)
else
  redis.call('ZREM', P .. 'leases', owner)
end
return answer(true)
