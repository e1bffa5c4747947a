-- args: {recent_ms; 0: none are recent}. Answers {queue, copies} of all queues that have any, as HGETALL does; those that
-- were made within `recent_ms`, or in the ten seconds that these began in, are left out.
local known = redis.call('HGETALL', P .. 'copies')
for i = 1, #known, 2 do
  local count = tonumber(known[i + 1])
  local first = args[1] > 0 and math.floor((now - args[1]) / 10000) or math.huge
  for step = first, math.floor(now / 10000) do
    count = count - tonumber(redis.call('GET', P .. 'raised:' .. known[i] .. ':' .. step) or 0)
  end
  known[i + 1] = math.max(0, count)
end
return answer(known)
