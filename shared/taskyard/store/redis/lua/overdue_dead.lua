-- args: {queue, ttl_ms or 0, max, max_bytes, limit}; answers the ids that are past their time or above a bound
local queue, ttl_ms, max, max_bytes, limit = unpack(args, 1, 5)
local key = P .. 'dead:q:' .. queue
local excess = redis.call('ZCARD', key) - max
if excess > 0 then return answer(redis.call('ZRANGE', key, 0, math.min(excess, limit) - 1)) end
local bytes = (tonumber(redis.call('HGET', P .. 'dead:bytes', queue)) or 0) - max_bytes
if bytes > 0 then
  local found = {}
  for _, id in ipairs(redis.call('ZRANGE', key, 0, limit - 1)) do
    if bytes <= 0 then break end
    found[#found + 1] = id
    bytes = bytes - (tonumber(redis.call('HGET', P .. 'd:' .. id, 'bytes')) or 0)
  end
  return answer(found)
end
if ttl_ms == 0 then return answer({}) end
return answer(redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now - ttl_ms), 'LIMIT', 0, limit))
