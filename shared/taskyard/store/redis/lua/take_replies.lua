-- args: {again_ms, limit}; answers {rows of {id, again_at, age or -1, recipients, which of these are the submitter's}, how many
-- are owed}
local again_at = now + args[1]
local rows = {}

local function whose(text, reply_to, correlation)
  local found = {}
  for i, recipient in ipairs(cjson.decode(text)) do found[i] = is_submitters(recipient, reply_to, correlation) end
  return found
end

each_apart(P .. 'replies', redis.call('ZRANGEBYSCORE', P .. 'replies', '-inf', now, 'LIMIT', 0, args[2]), function(id)
  local recipients = redis.call('HGET', P .. 'asked', id)
  local r = redis.call('HMGET', job_key(id), 'state', 'finished_at', 'reply_to', 'correlation')
  if not recipients or (r[1] and not TERMINAL[r[1]]) then
    redis.call('ZREM', P .. 'replies', id) -- brought back by an operator: owed again when it ends
  else
    redis.call('ZADD', P .. 'replies', again_at, id)
    local is_readable, its = pcall(whose, recipients, r[3], r[4])
    local age = r[1] and math.max(0, now - tonumber(r[2] or now)) or -1
    rows[#rows + 1] = {id, again_at, age, recipients, is_readable and its or {}}
  end
end)
return answer({rows, redis.call('ZCARD', P .. 'replies')})
