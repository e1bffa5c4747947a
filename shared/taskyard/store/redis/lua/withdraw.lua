-- args: ids
local removed = 0
for _, id in ipairs(args) do
  local r = redis.call('HMGET', job_key(id), 'state', 'queue', 'is_shared')
  if (r[1] == 'pending' or r[1] == 'scheduled') and not r[3] then
    leave_pending(id, r[2])
    redis.call('ZREM', P .. 'waiting', id)
    redis.call('ZREM', P .. 'jobs', id)
    redis.call('DEL', job_key(id))
    count(r[2], r[1], -1)
    removed = removed + 1
  end
end
if removed > 0 then redis.call('HINCRBY', P .. 'totals', 'withdrawn', removed) end
return answer(removed)
