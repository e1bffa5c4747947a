-- args: {name} or {} for all
local found = {}
for _, name in ipairs(#args > 0 and args or redis.call('SMEMBERS', P .. 'schedules')) do
  local r = redis.call('HMGET', P .. 'schedule:' .. name, 'spec', 'state', 'version', 'revision')
  if r[1] then found[#found + 1] = {name, r[1], r[2], tonumber(r[3]), tonumber(r[4])} end
end
return answer(found)
