-- args: {queue, step_ms, ids}. The copies of these jobs are confirmed: each waits for its next step, if there is one.
local queue, step_ms, ids = unpack(args, 1, 3)
local ready, aging = P .. 'ready:' .. queue, P .. 'aging:' .. queue

local function wait_for_next(id)
  local r = redis.call('HMGET', job_key(id), 'attempt', 'priority', 'raised')
  local priority, since, is_open = risen(r[3], (tonumber(r[1] or nil) or 0) + 1)
  if not is_open then return end
  redis.call('HSET', job_key(id), 'raised', string.sub(r[3], 1, -2))
  local ready_at = tonumber(redis.call('ZSCORE', ready, id) or since)
  if priority >= 9 then redis.call('ZREM', aging, id)
  else redis.call('ZADD', aging, 'XX', ready_at + (priority - tonumber(r[2]) + 1) * step_ms, id) end
end

each_apart(aging, ids, wait_for_next)
return answer(true)
