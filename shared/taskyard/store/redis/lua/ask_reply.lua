-- args: {how many places a job has at most, rows of {id, reply_to, correlation_id}}
local most, rows = args[1], args[2]

local function is_in(places, reply_to, correlation_id)
  for _, place in ipairs(places) do
    if place[1] == reply_to and place[2] == correlation_id then return true end
  end
end

-- Where there are too many, others go before those of the submitter: nobody can ask until these are forgotten.
local function superfluous(places, reply_to, correlation)
  for i, place in ipairs(places) do
    if not is_submitters(place, reply_to, correlation) then return i end
  end
  return 1
end

for _, row in ipairs(rows) do
  local id = row[1]
  local state, reply_to, correlation = unpack(redis.call('HMGET', job_key(id), 'state', 'reply_to', 'correlation'))
  if state then
    local places = cjson.decode(redis.call('HGET', P .. 'asked', id) or '[]')
    if not is_in(places, row[2], row[3]) then places[#places + 1] = {row[2], row[3]} end
    while #places > most do table.remove(places, superfluous(places, reply_to, correlation)) end
    redis.call('HSET', P .. 'asked', id, cjson.encode(places))
    if TERMINAL[state] then owe_reply(id) end
  end
end
return answer(true)
