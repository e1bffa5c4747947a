-- args: {queue, ttl_ms or 0, max, limit}; answers the ids that are past their time or above the bound
local queue, ttl_ms, max, limit = unpack(args, 1, 4)
local key = P .. 'dead:q:' .. queue
local excess = redis.call('ZCARD', key) - max
if excess > 0 then return answer(redis.call('ZRANGE', key, 0, math.min(excess, limit) - 1)) end
if ttl_ms == 0 then return answer({}) end
return answer(redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now - ttl_ms), 'LIMIT', 0, limit))
