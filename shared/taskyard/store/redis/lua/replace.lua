-- args: {keep_ms, ids}: these jobs are safe, what they replace is cancelled
local keep_ms, ids = args[1], args[2]
for _, id in ipairs(ids) do
  local state = redis.call('HGET', job_key(id), 'state')
  if state and not TERMINAL[state] then conclude_replacing(id, keep_ms) end
  if state == 'scheduled' then redis.call('ZREM', P .. 'outbox', id) end
end
return answer(true)
