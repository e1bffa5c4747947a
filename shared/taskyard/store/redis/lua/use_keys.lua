-- args: uses of {id, requests, per_ms, is_noted}; answers {requests in this window, ms until the next} for each
local metered = {}
for i, use in ipairs(args) do
  local id, requests, per_ms, is_noted = unpack(use, 1, 4)
  if is_noted and redis.call('HEXISTS', P .. 'keys', id) == 1 then
    redis.call('HSET', P .. 'keys:times', id .. '|used', now)
  end
  metered[i] = {0, 0}
  if requests > 0 then
    -- A window begins with its first request, and holds so many; what is refused is counted no further.
    local key = P .. 'keys:window:' .. id
    redis.call('SET', key, 0, 'PX', per_ms, 'NX')
    local used = tonumber(redis.call('GET', key))
    if used <= requests then used = redis.call('INCR', key) end
    metered[i] = {used, math.max(1, redis.call('PTTL', key))}
  end
end
return answer(metered)
