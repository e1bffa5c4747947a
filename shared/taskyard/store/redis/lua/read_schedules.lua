-- args: {names, max_bytes}: as many of these as fit into `max_bytes`, and one at least. Answers {rows of {name, spec,
-- state, version, revision}, how many were looked at}
local names, max_bytes = args[1], args[2]
local found, bytes, looked = {}, 0, 0
for _, name in ipairs(names) do
  local r = redis.call('HMGET', P .. 'schedule:' .. name, 'spec', 'state', 'version', 'revision')
  if r[1] then
    bytes = bytes + #r[1] + #r[2]
    if looked > 0 and bytes > max_bytes then break end
    found[#found + 1] = {name, r[1], r[2], tonumber(r[3]), tonumber(r[4])}
  end
  looked = looked + 1
end
return answer({found, looked})
