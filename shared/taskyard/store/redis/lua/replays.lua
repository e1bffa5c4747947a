-- args: {ids, max_bytes}: as many of these replays as fit into `max_bytes`, and one at least; answers hashes as HGETALL
-- gives them, but for `edit`, with the id in front; an empty one for what is gone.
local ids, max_bytes = args[1], args[2]
local found, bytes = {}, 0
for i, id in ipairs(ids) do
  local all, row = redis.call('HGETALL', P .. 'replay:' .. id), {}
  for at = 1, #all, 2 do
    if all[at] ~= 'edit' then
      row[#row + 1], row[#row + 2] = all[at], all[at + 1]
      bytes = bytes + #all[at + 1]
    end
  end
  if i > 1 and bytes > max_bytes then break end
  if #row == 0 then redis.call('ZREM', P .. 'replays', id) end
  found[i] = {id, row}
end
return answer(found)
