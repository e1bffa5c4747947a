-- args: {keep_ms, ids}
local keep_ms, ids = args[1], args[2]
local ENDED = {completed = true, failed = true, cancelled = true, expired = true}
local answers = {}

-- A message of a job that was cancelled may be on its way: without the record it would be taken for a new job. Where
-- records are kept so long anyway that a claim leaves no mark, no such job is removed.
local function is_awaited(id, state)
  if state ~= 'cancelled' then return false end
  return keep_ms >= UNSEEN_MS or tonumber(redis.call('ZSCORE', P .. 'ended', id) or 0) > now + keep_ms
end

local function remove(id)
  local r = redis.call('HMGET', job_key(id), 'state', 'queue', 'body', 'created_at', 'priority')
  local state = r[1]
  if not state then return {id, 'unknown', ''} end
  if not ENDED[state] or is_awaited(id, state) then return {id, 'too_early', state} end
  drop_record(id, state, unpack(r, 3, 5))
  count(r[2], state, -1)
  if redis.call('HEXISTS', P .. 'totals', 'accepted') == 1 then
    redis.call('HINCRBY', P .. 'totals', 'pruned|' .. state, 1)
  end
  return {id, 'removed', state}
end

for i, id in ipairs(ids) do answers[i] = remove(id) end
return answer(answers)
