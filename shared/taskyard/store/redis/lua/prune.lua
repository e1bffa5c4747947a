-- args: {limit}; a lost worker is shown for an hour.
local removed, pruned = 0, {}
local has_replies, REPLY_MS = redis.call('EXISTS', P .. 'replies') == 1, 60000

local function prune(id)
  if has_replies and redis.call('ZSCORE', P .. 'replies', id) then
    redis.call('ZADD', P .. 'ended', now + REPLY_MS, id) -- the reply is made of it
    return
  end
  local r = redis.call('HMGET', job_key(id), 'queue', 'state', 'body', 'created_at', 'priority', 'copies')
  if r[1] then
    local copies = tonumber(r[6] or nil) or 0
    if copies > 0 then lower_copies(r[1], copies) end
    count(r[1], r[2], -1)
    pruned[r[2]] = (pruned[r[2]] or 0) + 1
  end
  drop_record(id, r[2], unpack(r, 3, 5))
  removed = removed + 1
end
each_apart(P .. 'ended', redis.call('ZRANGEBYSCORE', P .. 'ended', '-inf', now, 'LIMIT', 0, args[1]), prune)
redis.call('ZREMRANGEBYSCORE', P .. 'withdrawn', '-inf', now)
local seen = redis.call('HGETALL', P .. 'workers')
for i = 1, #seen, 2 do
  if tonumber(string.match(seen[i + 1], '^%d+')) < now - 3600000 then
    redis.call('HDEL', P .. 'workers', seen[i])
    redis.call('HDEL', P .. 'beats', seen[i])
  end
end
if redis.call('HEXISTS', P .. 'totals', 'accepted') == 1 then
  for state, n in pairs(pruned) do redis.call('HINCRBY', P .. 'totals', 'pruned|' .. state, n) end
end
return answer(removed)
