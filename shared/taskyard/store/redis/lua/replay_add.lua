-- args: {replay id, rows of {dead letter's id, failed_at}}; kept for an hour, if it is never started
local todo = P .. 'replay:' .. args[1] .. ':todo'
for _, row in ipairs(args[2]) do redis.call('ZADD', todo, math.min(row[2], now), row[1]) end
redis.call('EXPIRE', todo, 3600)
return answer(redis.call('ZCARD', todo))
