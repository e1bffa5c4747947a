-- args: ids
local answers = {}

local function remove(id)
  local r = redis.call('HMGET', job_key(id), 'state', 'queue', 'body', 'created_at', 'priority', 'out', 'copies')
  local state = r[1]
  if not state then return {id, 'unknown', ''} end
  -- Without the record a message that is out would be taken for a new job.
  if not TERMINAL[state] or (tonumber(r[6]) or 0) + (tonumber(r[7] or nil) or 0) > 0 then return {id, 'too_early', state} end
  drop_record(id, state, unpack(r, 3, 5))
  -- Only one is noted; a claim by a copy of it, as of `relay` or a retry, is answered for a day that the job was removed.
  redis.call('ZADD', P .. 'withdrawn', now + LOCK_MS, id)
  count(r[2], state, -1)
  if redis.call('HEXISTS', P .. 'totals', 'accepted') == 1 then
    redis.call('HINCRBY', P .. 'totals', 'pruned|' .. state, 1)
  end
  return {id, 'removed', state}
end

for i, id in ipairs(args) do answers[i] = remove(id) end
return answer(answers)
