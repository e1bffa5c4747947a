-- args: {gap_ms, grace_ms}
-- Leases are looked at again and again; if nobody could for `gap_ms`, their owners may not have reached the
-- store either. An owner that is known to have ended gets no grace. A clock that was set forward looks the same;
-- after one that was set back no lease may last longer than one that begins now.
local gap_ms, grace_ms = unpack(args, 1, 2)
local key, leases = P .. 'leases_seen_at', P .. 'leases'
local seen_at = tonumber(redis.call('GET', key) or now)
redis.call('SET', key, now)
if now < seen_at then
  for _, owner in ipairs(redis.call('ZRANGEBYSCORE', leases, '(' .. now + grace_ms, '+inf')) do
    redis.call('ZADD', leases, now + grace_ms, owner)
  end
end
if now - seen_at < gap_ms then return answer(false) end
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now + grace_ms)) do
  if not has_ended(owner) then redis.call('ZADD', leases, now + grace_ms, owner) end
end
return answer(true)
