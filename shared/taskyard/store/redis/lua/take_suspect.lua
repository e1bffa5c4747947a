-- args: {queues, reserve_ms}: gives the job that waits longest to be tried alone, and nobody else for `reserve_ms`.
-- Answers a list of none or one {id, queue, body, attempt, priority}; of one without a body that is empty.
local queues, reserve_ms = args[1], args[2]

-- The row of the first of a queue that may be tried now, and since when; or nothing. What is no suspect any more is
-- forgotten, and one whose record is damaged keeps no other from its turn.
local function first(queue)
  if is_paused('queue', queue) then return end
  local suspects = P .. 'suspects:' .. queue
  while true do
    local found = redis.call('ZRANGEBYSCORE', suspects, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
    local id, row = found[1], nil
    if not id then return end
    each_apart(suspects, {id}, function()
      local r = redis.call('HMGET', job_key(id), 'state', 'suspect', 'body', 'attempt', 'priority')
      local is_suspect = r[2] and (r[1] == 'retrying' or r[1] == 'scheduled')
      if not is_suspect then return redis.call('ZREM', suspects, id) end
      row = {id, queue, r[3] or '', tonumber(r[4]) + 1, tonumber(r[5] or nil) or 5}
    end)
    if row then return row, tonumber(found[2]) end
  end
end

local chosen, since
for _, queue in ipairs(queues) do
  local row, at = first(queue)
  if row and (not since or at < since) then chosen, since = row, at end
end
if not chosen then return answer({}) end
redis.call('ZADD', P .. 'suspects:' .. chosen[2], now + reserve_ms, chosen[1])
redis.call('HDEL', job_key(chosen[1]), 'is_changed')
return answer({chosen})
