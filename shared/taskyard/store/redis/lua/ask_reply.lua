-- args: {how many places a job has at most, rows of {id, reply_to, correlation_id}}
local most, rows = args[1], args[2]

local function is_in(places, reply_to, correlation_id)
  for _, place in ipairs(places) do
    if place[1] == reply_to and place[2] == correlation_id then return true end
  end
end

for _, row in ipairs(rows) do
  local id, state = row[1], redis.call('HGET', job_key(row[1]), 'state')
  if state then
    local places = cjson.decode(redis.call('HGET', P .. 'asked', id) or '[]')
    if not is_in(places, row[2], row[3]) then places[#places + 1] = {row[2], row[3]} end
    while #places > most do table.remove(places, 1) end
    redis.call('HSET', P .. 'asked', id, cjson.encode(places))
    if TERMINAL[state] then owe_reply(id) end
  end
end
return answer(true)
