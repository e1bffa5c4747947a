-- args: {how many recipients a job has at most, rows of {id, reply_to, correlation_id}}
local most, rows = args[1], args[2]

local function is_in(recipients, reply_to, correlation_id)
  for _, recipient in ipairs(recipients) do
    if recipient[1] == reply_to and recipient[2] == correlation_id then return true end
  end
end

-- Where there are too many, others go before those of the submitter: nobody can ask until these are forgotten.
local function superfluous(recipients, reply_to, correlation)
  for i, recipient in ipairs(recipients) do
    if not is_submitters(recipient, reply_to, correlation) then return i end
  end
  return 1
end

for _, row in ipairs(rows) do
  local id = row[1]
  local state, reply_to, correlation = unpack(redis.call('HMGET', job_key(id), 'state', 'reply_to', 'correlation'))
  if state then
    local recipients = cjson.decode(redis.call('HGET', P .. 'asked', id) or '[]')
    if not is_in(recipients, row[2], row[3]) then recipients[#recipients + 1] = {row[2], row[3]} end
    while #recipients > most do table.remove(recipients, superfluous(recipients, reply_to, correlation)) end
    redis.call('HSET', P .. 'asked', id, cjson.encode(recipients))
    if TERMINAL[state] then owe_reply(id) end
  end
end
return answer(true)
