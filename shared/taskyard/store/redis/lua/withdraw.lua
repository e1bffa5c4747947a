-- args: {ids, those of them that the caller may have sent a message of}; answers the ids of those that stay
local ids, kept, removed, is_sent = args[1], {}, 0, {}
for _, id in ipairs(args[2]) do is_sent[id] = true end

-- Gives a lock back to the job that was to be replaced; or has a later one replace that instead.
local function give_lock_back(id, lock, replaced, locked_until)
  local key = P .. 'unique:' .. lock
  local later = redis.call('GET', key)
  if later == id then
    local left_ms = replaced and tonumber(locked_until) - now or 0
    if left_ms > 0 then redis.call('SET', key, replaced, 'PX', left_ms) else redis.call('DEL', key) end
    return
  end
  for _ = 1, MOST_RIVALS do
    if not later then return end
    local next = redis.call('HGET', job_key(later), 'replaces')
    if next == id then
      if replaced then redis.call('HSET', job_key(later), 'replaces', replaced, 'locked_until', locked_until)
      else redis.call('HDEL', job_key(later), 'replaces', 'locked_until') end
      return
    end
    later = next
  end
end

local function withdraw(id)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'queue', 'is_shared', 'unique', 'replaces', 'locked_until', 'limit',
    'out', 'started_at', 'attempt')
  local state, queue = r[1], r[2]
  local has_begun = r[9] or tonumber(r[10] or 0) > 0 -- a first attempt that was broken off does not count as one
  if state and (has_begun or r[3] or (state ~= 'pending' and state ~= 'scheduled')) then
    kept[#kept + 1] = id
    return
  end
  -- A worker that takes its message would else think that its record was lost, and make a new one.
  if is_sent[id] or (tonumber(r[8]) or 0) > 0 then redis.call('ZADD', P .. 'withdrawn', now + UNSEEN_MS, id) end
  if not state then return end
  if r[4] then give_lock_back(id, unpack(r, 4, 6)) end
  if r[7] then release(id, r[7]) end
  redis.call('HDEL', P .. 'asked', id)
  leave_pending(id, queue)
  redis.call('ZREM', P .. 'waiting', id)
  redis.call('ZREM', P .. 'jobs', id)
  redis.call('DEL', key)
  count(queue, state, -1)
  removed = removed + 1
end

for _, id in ipairs(ids) do withdraw(id) end
if removed > 0 then redis.call('HINCRBY', P .. 'totals', 'withdrawn', removed) end
return answer(kept)
