-- args: ids, or {} for the newest hundred; answers hashes as HGETALL gives them, with the id in front
local ids = args
if #ids == 0 then ids = redis.call('ZREVRANGE', P .. 'replays', 0, 99) end
local found = {}
for _, id in ipairs(ids) do
  local row = redis.call('HGETALL', P .. 'replay:' .. id)
  if #row > 0 then found[#found + 1] = {id, row} else redis.call('ZREM', P .. 'replays', id) end
end
return answer(found)
