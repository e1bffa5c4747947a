-- args: {queue, limit, ttl_ms, before_ms}; answers {cancelled, left, before_ms}
local queue, limit, ttl_ms, before = args[1], args[2], args[3], args[4] or now
local ready = P .. 'ready:' .. queue
local cancelled = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ready, '-inf', before, 'LIMIT', 0, limit)) do
  local r = redis.call('HMGET', job_key(id), 'state', 'limit')
  if r[1] == 'pending' then
    cancel_idle(id, 'pending', queue, r[2], ttl_ms)
    cancelled = cancelled + 1
  else
    leave_pending(id, queue)
  end
end
return answer({cancelled, redis.call('ZCOUNT', ready, '-inf', before), before})
