-- args: {older_than_ms, before_ms, queues}. Answers {now, for each queue {jobs, old, unconfirmed}}: pending jobs that
-- became ready before a time; those that have been ready for `older_than_ms` and that the broker has confirmed; and
-- those that it has not. With very many of these, as after hours without a broker, they are not counted, which would
-- hold up the store: any may be one.
local MAX_UNCONFIRMED = 100000
local older_than_ms, before_ms, queues = unpack(args, 1, 3)
local is_countable = redis.call('ZCARD', P .. 'outbox') <= MAX_UNCONFIRMED
local rows = {}

local function row(queue)
  local ready = P .. 'ready:' .. queue
  local unconfirmed = is_countable and redis.call('ZINTERCARD', 2, ready, P .. 'outbox') or redis.call('ZCARD', ready)
  local old = redis.call('ZCOUNT', ready, '-inf', now - older_than_ms)
  return {redis.call('ZCOUNT', ready, '-inf', '(' .. before_ms), math.max(0, old - unconfirmed), unconfirmed}
end

for _, queue in ipairs(queues) do rows[#rows + 1] = row(queue) end
return answer({now, rows})
