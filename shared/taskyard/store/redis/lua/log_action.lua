-- args: {id, entry, max entries, ttl_ms}: adds an entry to the audit log, and takes out what is past its bounds.
local id, entry, max, ttl_ms = args[1], args[2], args[3], args[4]
local index, entries = P .. 'audit_log', P .. 'audit_log:entries'
if redis.call('HSETNX', entries, id, entry) == 1 then redis.call('ZADD', index, now, id) end

-- Some with each entry: those that are left, after a bound was lowered, go with the next.
local function forget(ids)
  for _, old in ipairs(ids) do
    redis.call('ZREM', index, old)
    redis.call('HDEL', entries, old)
  end
end
forget(redis.call('ZRANGEBYSCORE', index, '-inf', string.format('%.0f', now - ttl_ms), 'LIMIT', 0, 100))
local over = redis.call('ZCARD', index) - max
if over > 0 then forget(redis.call('ZRANGE', index, 0, math.min(over, 100) - 1)) end
return answer(true)
