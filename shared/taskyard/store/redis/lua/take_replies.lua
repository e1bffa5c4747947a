-- args: {again_ms, limit}; answers {rows of {id, again_at, age or -1, places}, how many are owed}
local again_at = now + args[1]
local rows = {}
each_apart(P .. 'replies', redis.call('ZRANGEBYSCORE', P .. 'replies', '-inf', now, 'LIMIT', 0, args[2]), function(id)
  local places = redis.call('HGET', P .. 'asked', id)
  local r = redis.call('HMGET', job_key(id), 'state', 'finished_at')
  if not places or (r[1] and not TERMINAL[r[1]]) then
    redis.call('ZREM', P .. 'replies', id) -- brought back by an operator: owed again when it ends
  else
    redis.call('ZADD', P .. 'replies', again_at, id)
    rows[#rows + 1] = {id, again_at, r[1] and math.max(0, now - tonumber(r[2] or now)) or -1, places}
  end
end)
return answer({rows, redis.call('ZCARD', P .. 'replies')})
