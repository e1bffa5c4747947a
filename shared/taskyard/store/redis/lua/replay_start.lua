-- args: {replay id, filter, rate, canary, edit}; a replay that was started before stays as it is.
local id, filter, rate, canary, edit = unpack(args, 1, 5)
local key = P .. 'replay:' .. id
if redis.call('EXISTS', key) == 0 then
  redis.call('HSET', key, 'filter', filter, 'rate', rate, 'canary', canary, 'edit', edit, 'state', 'running',
    'total', redis.call('ZCARD', key .. ':todo'), 'replayed', 0, 'skipped', 0, 'created_at', now, 'at', now - 1000 / math.max(rate, 1))
  redis.call('PERSIST', key .. ':todo')
  redis.call('ZADD', P .. 'replays', now, id)
  redis.call('SADD', P .. 'replays:active', id)
end
return answer(true)
