-- args: {recent_ms; 0: none are recent}. Answers rows of {queue, copies} for all queues that have any; those that
-- were made within `recent_ms`, or in the second that this began in, are left out.
local counts, rows = redis.call('HGETALL', P .. 'copies'), {}
local first = args[1] > 0 and math.floor((now - args[1]) / 1000) or math.huge
for i = 1, #counts, 2 do
  local queue, count = counts[i], tonumber(counts[i + 1])
  for second = first, math.floor(now / 1000) do
    count = count - tonumber(redis.call('GET', P .. 'raised:' .. queue .. ':' .. second) or 0)
  end
  if count > 0 then rows[#rows + 1] = {queue, count} end
end
return answer(rows)
