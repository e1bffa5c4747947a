-- args: {limit}
local due = P .. 'due_schedules'
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, args[1])) do
  local r = redis.call('HMGET', P .. 'schedule:' .. name, 'spec', 'state', 'version', 'revision')
  if r[1] then found[#found + 1] = {name, r[1], r[2], tonumber(r[3]), tonumber(r[4])}
  else redis.call('ZREM', due, name) end
end
local first = redis.call('ZRANGEBYSCORE', due, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return answer({found, now, first[2] and math.ceil(tonumber(first[2]) - now) or -1})
