-- args: ids; answers for each that can be told {id, state or '' without a record, attempts made, body}
local found = {}
for _, id in ipairs(args) do
  local r = redis.call('HMGET', job_key(id), 'state', 'attempt', 'body')
  if not r[1] then
    local letter = redis.call('HMGET', P .. 'd:' .. id, 'attempts', 'body')
    r = letter[2] and {'', letter[1], letter[2]} or {}
  end
  if r[1] then found[#found + 1] = {id, r[1], tonumber(r[2]), r[3]} end
end
return answer(found)
