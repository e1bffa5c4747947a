-- args: {kind, name, document}: "queue" or "task"; an empty document resumes. Answers whether that changed anything.
local kind, name, document = args[1], args[2], args[3]
local field = kind .. '|' .. name
if document ~= '' then return answer(redis.call('HSETNX', P .. 'paused', field, document) == 1) end
local changed = redis.call('HDEL', P .. 'paused', field) == 1
if kind == 'task' and changed then
  for _, limit in ipairs(redis.call('SMEMBERS', P .. 'limits:' .. name)) do look_at(limit, now) end
  redis.call('PUBLISH', P .. 'due', name)
end
return answer(changed)
