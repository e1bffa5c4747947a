-- args: {queues, reserve_ms}: gives the job that waits longest to be tried alone, and nobody else for `reserve_ms`.
-- Answers a list of none or one {id, queue, body, attempt, priority}.
local queues, reserve_ms = args[1], args[2]

-- The first of a queue that may be tried now, or nothing. What is no suspect any more is forgotten.
local function first(queue)
  if is_paused('queue', queue) then return end
  local suspects = P .. 'suspects:' .. queue
  while true do
    local row = redis.call('ZRANGEBYSCORE', suspects, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
    if not row[1] then return end
    local r = redis.call('HMGET', job_key(row[1]), 'state', 'suspect')
    if r[2] and (r[1] == 'retrying' or r[1] == 'scheduled') then return row[1], tonumber(row[2]) end
    redis.call('ZREM', suspects, row[1])
  end
end

local chosen, chosen_queue, since
for _, queue in ipairs(queues) do
  local id, at = first(queue)
  if id and (not since or at < since) then chosen, chosen_queue, since = id, queue, at end
end
if not chosen then return answer({}) end
redis.call('ZADD', P .. 'suspects:' .. chosen_queue, now + reserve_ms, chosen)
local r = redis.call('HMGET', job_key(chosen), 'body', 'attempt', 'priority')
return answer({{chosen, chosen_queue, r[1], tonumber(r[2]) + 1, tonumber(r[3] or 5)}})
