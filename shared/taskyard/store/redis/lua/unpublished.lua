-- args: {older_than_ms, limit, keep_ms}
local outbox = P .. 'outbox'
local ready = {}
local due = redis.call('ZRANGEBYSCORE', outbox, '-inf', now - args[1], 'WITHSCORES', 'LIMIT', 0, args[2])
for i = 1, #due, 2 do
  local id = due[i]
  local r = redis.call('HMGET', job_key(id), 'queue', 'body', 'attempt', 'state', 'replaces')
  if r[4] == 'pending' then
    redis.call('ZADD', outbox, now, id)
    ready[#ready + 1] = {id, r[1], r[2], tonumber(r[3]) + 1, tonumber(due[i + 1]), now, r[5] and true or false}
  else
    if r[4] == 'scheduled' then conclude_replacing(id, args[3]) end -- who recorded it died
    redis.call('ZREM', outbox, id)
  end
end
return answer(ready)
