-- args: {name, revision}
local name = args[1]
local key = P .. 'schedule:' .. name
if tonumber(redis.call('HGET', key, 'revision') or 0) ~= args[2] or args[2] == 0 then return answer(false) end
redis.call('DEL', key, P .. 'fires:' .. name)
redis.call('SREM', P .. 'schedules', name)
redis.call('ZREM', P .. 'due_schedules', name)
return answer(true)
