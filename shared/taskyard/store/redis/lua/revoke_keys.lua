-- args: ids; answers those that were not revoked before
local done = {}
for _, id in ipairs(args) do
  local document = redis.call('HGET', P .. 'keys', id)
  if document and redis.call('HSETNX', P .. 'keys:times', id .. '|revoked', now) == 1 then
    local name = cjson.decode(document)['name']
    if redis.call('HGET', P .. 'keys:names', name) == id then redis.call('HDEL', P .. 'keys:names', name) end
    done[#done + 1] = id
  end
end
return answer(done)
