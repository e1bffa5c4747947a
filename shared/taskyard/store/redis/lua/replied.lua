-- args: rows of {id, again_at, places}; no places: it is given up
local function name(place) return cjson.encode({place[1], place[2]}) end

local function without(places, told)
  local left, is_told = {}, {}
  for _, place in ipairs(told) do is_told[name(place)] = true end
  for _, place in ipairs(cjson.decode(places)) do
    if not is_told[name(place)] then left[#left + 1] = place end
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
