-- args: {ttl_ms, ids}
local ttl_ms, ids = args[1], args[2]
local answers = {}
local function cancel(id)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'queue', 'owner', 'limit')
  local state, queue = r[1], r[2]
  if not state then return {id, 'unknown', ''} end
  if state == 'running' then
    redis.call('HSET', key, 'cancel', 1)
    redis.call('SADD', P .. 'cancels:' .. r[3], id)
    return {id, 'requested', state}
  end
  if state ~= 'pending' and state ~= 'scheduled' and state ~= 'retrying' then return {id, 'too_late', state} end
  cancel_idle(id, state, queue, r[4], ttl_ms)
  return {id, 'cancelled', 'cancelled'}
end
for i, id in ipairs(ids) do answers[i] = cancel(id) end
return answer(answers)
