-- args: {ids, those of them that a message may be on its way of}; answers the ids of those that stay
local ids, kept, removed, is_out = args[1], {}, 0, {}
for _, id in ipairs(args[2]) do is_out[id] = true end

local function withdraw(id)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'queue', 'is_shared')
  local state, queue = r[1], r[2]
  if not state then return end
  if (state ~= 'pending' and state ~= 'scheduled') or r[3] then
    kept[#kept + 1] = id
    return
  end
  leave_pending(id, queue)
  redis.call('ZREM', P .. 'waiting', id)
  redis.call('ZREM', P .. 'jobs', id)
  redis.call('DEL', key)
  count(queue, state, -1)
  removed = removed + 1
  -- Whoever takes its message would else think that its record was lost, and make a new one.
  if is_out[id] then redis.call('ZADD', P .. 'withdrawn', now + UNSEEN_MS, id) end
end

for _, id in ipairs(ids) do withdraw(id) end
if removed > 0 then redis.call('HINCRBY', P .. 'totals', 'withdrawn', removed) end
return answer(kept)
