-- Answers {jobs without a recorded confirm, how long the first waiting job is overdue in ms}
local first = redis.call('ZRANGE', P .. 'waiting', 0, 0, 'WITHSCORES')
local overdue_ms = first[2] and math.max(0, math.floor(now - tonumber(first[2]))) or 0
return answer({redis.call('ZCARD', P .. 'outbox'), overdue_ms})
