-- args: {kind, name, document}: "queue" or "task"; an empty document resumes. Answers whether that changed anything.
local kind, name, document = args[1], args[2], args[3]
local field, times = kind .. '|' .. name, P .. 'pauses:' .. name
if document ~= '' then
  local is_new = redis.call('HSETNX', P .. 'paused', field, document) == 1
  if is_new and kind == 'queue' then
    redis.call('LPUSH', times, now .. ':')
    redis.call('LTRIM', times, 0, 99)
  end
  return answer(is_new)
end
local changed = redis.call('HDEL', P .. 'paused', field) == 1
if kind == 'queue' and changed then
  local latest = redis.call('LINDEX', times, 0)
  -- A pause that an older version made has no time.
  if latest and string.sub(latest, -1) == ':' then redis.call('LSET', times, 0, latest .. now) end
end
if kind == 'task' and changed then
  for _, limit in ipairs(redis.call('SMEMBERS', P .. 'limits:' .. name)) do look_at(limit, now) end
  redis.call('PUBLISH', P .. 'due', name)
end
return answer(changed)
