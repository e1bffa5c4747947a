-- args: {name, revision, spec, state, version, due_at_ms, events, kept_events}; due_at_ms may be nil.
-- Keys: schedule:<name> (hash) | schedules their names | fires:<name> its last events (list), newest first |
-- due_schedules names by the time when somebody has to look after them.
local name, revision, spec, state, version, due_at, events, kept = unpack(args, 1, 8)
local key = P .. 'schedule:' .. name
if tonumber(redis.call('HGET', key, 'revision') or 0) ~= revision then return answer(false) end
redis.call('HSET', key, 'spec', spec, 'state', state, 'version', version, 'revision', revision + 1)
redis.call('SADD', P .. 'schedules', name)
if due_at then redis.call('ZADD', P .. 'due_schedules', due_at, name)
else redis.call('ZREM', P .. 'due_schedules', name) end
for _, event in ipairs(events) do redis.call('LPUSH', P .. 'fires:' .. name, event) end
redis.call('LTRIM', P .. 'fires:' .. name, 0, kept - 1)
return answer(true)
