-- args: {limit, max_bytes}
local waiting = P .. 'waiting'
local ready = {}
local due = within(args[2], redis.call('ZRANGEBYSCORE', waiting, '-inf', now, 'LIMIT', 0, args[1]))
local left_bytes = args[2]
local pending = {} -- ids by queue
local taken = {}
each_apart(waiting, due, function(id)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'queue', 'body', 'attempt', 'state', 'run_at', 'replaces', 'suspect', 'raised', 'parked_at')
  if r[4] and r[7] then
    wait_alone(id, r[1], now)
  elseif r[4] then
    local row = ready_row(id, r[1], assert(r[2]), tonumber(r[3]), r[8], assert(tonumber(r[5])), r[6])
    redis.call('HSET', key, 'state', 'pending', 'out', row[4])
    pending[r[1]] = pending[r[1]] or {}
    table.insert(pending[r[1]], id)
    count(r[1], r[4], -1)
    row[9] = r[9] and true or false
    enter_for_look(id, r[1], 'pending', r[9])
    ready[#ready + 1] = row
    left_bytes = left_bytes - #r[2]
  end
  taken[#taken + 1] = id
end)
call_for_all('ZREM', waiting, taken)
for queue, ids in pairs(pending) do make_all_pending(ids, queue) end

-- Lets a job that a limit has held back go to its queue.
local function let_go(id, limit)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'queue', 'body', 'attempt', 'state', 'held_in', 'suspect', 'raised')
  if r[4] ~= 'scheduled' or not r[5] then return end
  local row = ready_row(id, assert(r[1]), assert(r[2]), tonumber(r[3]), r[7], now)
  end_hold(id)
  redis.call('HDEL', key, 'reason', 'held_in')
  redis.call('SADD', P .. 'slots:' .. limit, id)
  redis.call('SADD', P .. 'admitted:' .. limit, id)
  if r[6] then
    redis.call('HSET', key, 'ready_at', now)
    return wait_alone(id, r[1], now)
  end
  redis.call('HSET', key, 'state', 'pending', 'ready_at', now, 'out', row[4])
  make_pending(id, r[1])
  count(r[1], 'scheduled', -1)
  enter(id, r[1], 'pending')
  ready[#ready + 1] = row
  left_bytes = left_bytes - #r[2]
end

-- Takes the first of those that a limit holds back. One whose record is damaged is left to the walk through all records,
-- and gives its turn to the next.
local function take_first(id, limit)
  redis.call('ZREM', P .. 'limited:' .. limit, id)
  apart({id}, function() let_go(id, limit) end)
end

local function look(limit)
  local task = string.match(limit, '^[^|]*')
  while #ready < args[1] and left_bytes > 0 do
    local id = redis.call('ZRANGE', P .. 'limited:' .. limit, 0, 0)[1]
    local why, at
    if id then
      local holders, coming = redis.call('SCARD', P .. 'slots:' .. limit), redis.call('SCARD', P .. 'admitted:' .. limit)
      why, at = obstacle(task, limit, holders, coming)
    end
    if not id then redis.call('SREM', P .. 'limits:' .. task, limit) end
    if why and at then redis.call('ZADD', P .. 'limits_due', at, limit) return end
    if why or not id then redis.call('ZREM', P .. 'limits_due', limit) return end
    take_first(id, limit)
  end
  redis.call('ZADD', P .. 'limits_due', now, limit) -- there may be more, after those of other limits
end

each_apart(P .. 'limits_due', redis.call('ZRANGEBYSCORE', P .. 'limits_due', '-inf', now, 'LIMIT', 0, 100), look)

local function wait_ms(key)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, math.ceil(tonumber(first[2]) - now)) or math.huge
end
local next_ms = math.min(wait_ms(waiting), wait_ms(P .. 'limits_due'))
return answer({ready, next_ms < math.huge and next_ms or -1})
