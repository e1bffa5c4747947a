-- args: rows of {id, when it was recorded}
-- A job that became pending again since, as by an operator's retry, has another message to be confirmed.
local outbox = P .. 'outbox'
local confirmed = {}
for _, row in ipairs(args) do
  local recorded_at = redis.call('ZSCORE', outbox, row[1])
  if recorded_at and tonumber(recorded_at) <= row[2] then confirmed[#confirmed + 1] = row[1] end
end
call_for_all('ZREM', outbox, confirmed)
return answer(true)
