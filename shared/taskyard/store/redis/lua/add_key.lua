-- args: {id, name, document, ttl_ms or 0, max_keys, is_replacing}
-- Keys: keys documents by id | keys:names ids of those that are not revoked, by name | keys:times
-- "<id>|created", "<id>|expires", "<id>|revoked", "<id>|used" | keys:window:<id> requests in its window.
local id, name, document, ttl_ms, max_keys, is_replacing = unpack(args, 1, 6)
if redis.call('HEXISTS', P .. 'keys', id) == 1 then return answer('exists') end
local holder = redis.call('HGET', P .. 'keys:names', name)
if holder then
  local expires = tonumber(redis.call('HGET', P .. 'keys:times', holder .. '|expires') or '0')
  if not is_replacing and (expires == 0 or expires > now) then return answer('name_taken') end
end
if redis.call('HLEN', P .. 'keys') >= max_keys then return answer('too_many') end
if holder then redis.call('HSETNX', P .. 'keys:times', holder .. '|revoked', now) end
redis.call('HSET', P .. 'keys', id, document)
redis.call('HSET', P .. 'keys:names', name, id)
redis.call('HSET', P .. 'keys:times', id .. '|created', now)
if ttl_ms > 0 then redis.call('HSET', P .. 'keys:times', id .. '|expires', now + ttl_ms) end
return answer('added')
