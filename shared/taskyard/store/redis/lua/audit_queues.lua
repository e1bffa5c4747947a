-- args: {older_than_ms, recent_ms, queues}. Answers for each queue {published, old}: pending jobs that the broker has
-- confirmed, without those that became ready within `recent_ms`, and how many have been ready for `older_than_ms`.
-- With very many unconfirmed ones, as after hours without a broker, nothing is counted: it would hold up the store.
local MAX_UNCONFIRMED = 100000
local is_countable = redis.call('ZCARD', P .. 'outbox') <= MAX_UNCONFIRMED
local rows = {}

local function row(queue)
  if not is_countable then return {0, 0} end
  local ready = P .. 'ready:' .. queue
  local unconfirmed = redis.call('ZINTERCARD', 2, ready, P .. 'outbox')
  local old = redis.call('ZCOUNT', ready, '-inf', now - args[1])
  local jobs = redis.call('ZCOUNT', ready, '-inf', now - args[2])
  return {math.max(0, jobs - unconfirmed), math.max(0, old - unconfirmed)}
end

for _, queue in ipairs(args[3]) do rows[#rows + 1] = row(queue) end
return answer(rows)
