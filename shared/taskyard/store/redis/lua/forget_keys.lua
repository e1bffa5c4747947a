-- args: ids; answers those that were revoked or had expired, and are gone
local done = {}
for _, id in ipairs(args) do
  local document = redis.call('HGET', P .. 'keys', id)
  local times = redis.call('HMGET', P .. 'keys:times', id .. '|expires', id .. '|revoked')
  if document and (times[2] or (times[1] and tonumber(times[1]) <= now)) then
    local name = cjson.decode(document)['name']
    if redis.call('HGET', P .. 'keys:names', name) == id then redis.call('HDEL', P .. 'keys:names', name) end
    redis.call('HDEL', P .. 'keys', id)
    redis.call('HDEL', P .. 'keys:times', id .. '|created', id .. '|expires', id .. '|revoked', id .. '|used')
    redis.call('DEL', P .. 'keys:window:' .. id)
    done[#done + 1] = id
  end
end
return answer(done)
