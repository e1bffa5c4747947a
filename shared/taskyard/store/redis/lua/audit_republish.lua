-- args: ids. Puts pending jobs back into the outbox; answers them as `unpublished` does.
local ready = {}
for _, id in ipairs(args) do
  local r = redis.call('HMGET', job_key(id), 'queue', 'body', 'attempt', 'state')
  if r[4] == 'pending' then
    redis.call('ZADD', P .. 'outbox', now, id)
    ready[#ready + 1] = {id, r[1], r[2], tonumber(r[3]) + 1, now, now}
  end
end
return answer(ready)
