-- args: {queue, step_ms, limit}. Raises ready jobs by one priority for each step that they have waited; at most `limit`
-- of them, those first whose step is due for longest. Answers {them as `unpublished` does, whether there may be more}: their
-- copies are to be published, and come again a little later if no `mark_raised` follows.
local queue, step_ms, limit = unpack(args, 1, 3)
local ready, aging, mark = P .. 'ready:' .. queue, P .. 'aging:' .. queue, P .. 'aged:' .. queue
local HIGHEST, AGAIN_MS, KEEP_MS = 9, 5000, 86400000
-- Most jobs that come of age in one call, and most whose step is due that are looked at: many have started by then.
local ARRIVALS, LOOKS = 250, 250
if is_paused('queue', queue) then return answer({{}, false}) end

-- Has those wait for their first step that have become ready so long ago; all of one moment together.
local function welcome()
  local since = redis.call('GET', mark)
  local rows = redis.call('ZRANGEBYSCORE', ready, since and '(' .. since or '-inf', now - step_ms, 'WITHSCORES', 'LIMIT', 0,
    ARRIVALS)
  if #rows == 0 then return false end
  local last, members = rows[#rows], {}
  for i = 1, #rows, 2 do members[i], members[i + 1] = tonumber(rows[i + 1]) + step_ms, rows[i] end
  if #rows == 2 * ARRIVALS then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', ready, last, last)) do
      members[#members + 1] = tonumber(last) + step_ms
      members[#members + 1] = id
    end
  end
  call_for_all('ZADD', aging, members)
  redis.call('SET', mark, last, 'PX', KEEP_MS)
  redis.call('PEXPIRE', aging, KEEP_MS)
  return #rows == 2 * ARRIVALS
end

local rows, made, gone = {}, 0, {}

local function raise(id)
  if #rows == limit then return end
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'queue', 'body', 'attempt', 'priority', 'raised')
  local since = tonumber(redis.call('ZSCORE', ready, id) or nil)
  if r[1] ~= 'pending' or r[2] ~= queue or not since then
    gone[#gone + 1] = id
    return
  end
  if redis.call('ZSCORE', P .. 'outbox', id) then -- the relay's
    redis.call('ZADD', aging, now + AGAIN_MS, id)
    return
  end
  local own, attempt = assert(tonumber(r[5])), assert(tonumber(r[4])) + 1
  local priority, _, is_open = risen(r[6], attempt)
  priority = priority or own
  local due = math.min(HIGHEST, own + math.floor((now - since) / step_ms))
  if due <= priority and not is_open then
    if priority >= HIGHEST then gone[#gone + 1] = id
    else redis.call('ZADD', aging, since + (priority - own + 1) * step_ms, id) end
    return
  end
  due = math.max(due, priority)
  rows[#rows + 1] = {id, queue, assert(r[3]), attempt, since, now, false, due}
  redis.call('HSET', key, 'raised', string.format('%.0f:%d:%.0f?', attempt, due, now))
  redis.call('ZADD', aging, now + AGAIN_MS, id)
  if is_open then return end -- what was to be published in vain is counted already
  redis.call('HINCRBY', key, 'copies', 1)
  made = made + 1
end

local is_more = welcome()
local due = redis.call('ZRANGEBYSCORE', aging, '-inf', now, 'LIMIT', 0, LOOKS)
each_apart(aging, due, raise)
call_for_all('ZREM', aging, gone)
if made > 0 then
  local recent = P .. 'raised:' .. queue .. ':' .. math.floor(now / 1000)
  redis.call('HINCRBY', P .. 'copies', queue, made)
  redis.call('INCRBY', recent, made)
  redis.call('EXPIRE', recent, 60)
end
return answer({rows, is_more or #due == LOOKS or #rows == limit})
