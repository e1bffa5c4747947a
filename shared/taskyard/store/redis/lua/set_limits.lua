-- args: {by, limits of {task, "<concurrency>|<starts>|<per_ms>", or an empty text for none}}; `by` is "declared"
-- (by workers, with their tasks) or "set" (by an operator, which wins until it is taken back).
local by, rows = args[1], args[2]
local function write(key, task, text)
  if text == '' then return redis.call('HDEL', key, task) end
  redis.call('HSET', key, task, text)
end
for _, row in ipairs(rows) do
  local task, text = row[1], row[2]
  write(P .. 'limits_' .. by, task, text)
  local chosen = redis.call('HGET', P .. 'limits_set', task) or redis.call('HGET', P .. 'limits_declared', task) or ''
  if chosen ~= (redis.call('HGET', P .. 'limits', task) or '') then
    write(P .. 'limits', task, chosen)
    for _, limit in ipairs(redis.call('SMEMBERS', P .. 'limits:' .. task)) do look_at(limit, now) end
    redis.call('PUBLISH', P .. 'due', task)
  end
end
return answer(true)
