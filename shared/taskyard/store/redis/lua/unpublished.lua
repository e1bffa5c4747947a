-- args: {older_than_ms, limit, keep_ms, max_bytes}
local outbox = P .. 'outbox'
local ready = {}
local due = redis.call('ZRANGEBYSCORE', outbox, '-inf', now - args[1], 'WITHSCORES', 'LIMIT', 0, args[2])
local ids, since = {}, {}
for i = 1, #due, 2 do ids[#ids + 1], since[due[i]] = due[i], tonumber(due[i + 1]) end
each_apart(outbox, within(args[4], ids), function(id)
  local r = redis.call('HMGET', job_key(id), 'queue', 'body', 'attempt', 'state', 'replaces', 'raised')
  if r[4] == 'pending' then
    ready[#ready + 1] = ready_row(id, assert(r[1]), assert(r[2]), tonumber(r[3]), r[6], since[id], r[5])
    redis.call('ZADD', outbox, now, id)
    redis.call('HSET', job_key(id), 'out', ready[#ready][4])
  else
    if r[4] == 'scheduled' then conclude_replacing(id, args[3]) end -- who recorded it died
    redis.call('ZREM', outbox, id)
  end
end)
return answer(ready)
