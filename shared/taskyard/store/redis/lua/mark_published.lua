-- args: rows of {id, when it was recorded}
-- A job that became pending again since, as by an operator's retry, has another message to be confirmed.
local outbox = P .. 'outbox'
for _, row in ipairs(args) do
  local recorded_at = redis.call('ZSCORE', outbox, row[1])
  if recorded_at and tonumber(recorded_at) <= row[2] then redis.call('ZREM', outbox, row[1]) end
end
return answer(true)
