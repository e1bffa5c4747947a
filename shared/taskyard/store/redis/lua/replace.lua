-- args: {keep_ms, ids}: these jobs are safe, what they replace is cancelled. What is in the way of one, such as a damaged
-- record, is in its own way only: it is safe all the same, and `unpublished` comes back to it.
local keep_ms, ids = args[1], args[2]
local function conclude(id)
  local state = redis.call('HGET', job_key(id), 'state')
  if state and not TERMINAL[state] then conclude_replacing(id, keep_ms) end
  if state == 'scheduled' then redis.call('ZREM', P .. 'outbox', id) end
end
apart(ids, conclude)
return answer(true)
