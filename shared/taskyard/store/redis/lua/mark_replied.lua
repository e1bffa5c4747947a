-- args: rows of {id, again_at, recipients}; no recipients: it is given up
local function name(recipient) return cjson.encode({recipient[1], recipient[2]}) end

local function without(recipients, done)
  local left, is_done = {}, {}
  for _, recipient in ipairs(done) do is_done[name(recipient)] = true end
  for _, recipient in ipairs(cjson.decode(recipients)) do
    if not is_done[name(recipient)] then left[#left + 1] = recipient end
  end
  return left
end

for _, row in ipairs(args) do
  local id = row[1]
  if tonumber(redis.call('ZSCORE', P .. 'replies', id) or -1) == row[2] then
    local is_readable, left = pcall(without, redis.call('HGET', P .. 'asked', id) or '[]', row[3])
    if is_readable and #left > 0 and #row[3] > 0 then
      redis.call('HSET', P .. 'asked', id, cjson.encode(left))
    else
      redis.call('ZREM', P .. 'replies', id)
      redis.call('HDEL', P .. 'asked', id)
    end
  end
end
return answer(true)
