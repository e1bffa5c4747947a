-- args: {queue, older_than_ms, limit}. Answers the ids of pending jobs that the broker confirmed, oldest first.
local ids = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'ready:' .. args[1], '-inf', now - args[2], 'LIMIT', 0, args[3])) do
  if not redis.call('ZSCORE', P .. 'outbox', id) then ids[#ids + 1] = id end
end
return answer(ids)
