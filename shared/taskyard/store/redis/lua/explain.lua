-- args: {id, starts of the queue's pace to tell, holders to name}
-- Answers {} without such a job, else {now, record as HGETALL gives it but for its result, pause of its queue or '', of its task or '',
-- since when it is in the outbox or -1, since when it is ready or -1, ready jobs, end of its lease or -1,
-- limit {holding, coming, holders of {id, task, state, started_at}, oldest start or 0, place, held back, limits} or {},
-- lock {holder, ms left} or {}, pace, pauses of its queue as "<from>:<to, or nothing>", whether it runs and its
-- worker never heard of it, suspects of its queue that come before it}
local id, steps, named = args[1], args[2], args[3]
local key = job_key(id)
local all = redis.call('HGETALL', key)
if #all == 0 then return answer({}) end
local r, record = {}, {}
for i = 1, #all, 2 do
  r[all[i]] = all[i + 1]
  -- What it returned explains nothing, and may be large.
  if all[i] ~= 'result' then record[#record + 1], record[#record + 2] = all[i], all[i + 1] end
end

local function score(zset, member) return tonumber(redis.call('ZSCORE', P .. zset, member) or -1) end
local function pause(kind, name) return redis.call('HGET', P .. 'paused', kind .. '|' .. name) or '' end

local function holder(other)
  local h = fields_of(other, 'task', 'state', 'started_at')
  return {other, h[1] or '', h[2] or '', tonumber(h[3] or nil) or 0}
end

-- Of very many slots some are returned: which, does not matter.
local function holders(limit)
  local found = {}
  for _, other in ipairs(redis.call('SRANDMEMBER', P .. 'slots:' .. limit, 10 * named)) do
    if other ~= id then found[#found + 1] = holder(other) end
  end
  table.sort(found, function(a, b) return a[4] < b[4] end)
  while #found > named do table.remove(found) end
  return found
end

local function limit_facts(limit)
  local coming = redis.call('SCARD', P .. 'admitted:' .. limit)
  local spec = limits_of(r.task)
  local oldest = spec and spec.starts > 0 and coming < spec.starts
    and redis.call('LINDEX', P .. 'starts:' .. limit, coming - spec.starts) or 0
  return {redis.call('SCARD', P .. 'slots:' .. limit), coming, holders(limit), tonumber(oldest),
    redis.call('ZRANK', P .. 'limited:' .. limit, id) or 0, redis.call('ZCARD', P .. 'limited:' .. limit),
    redis.call('HGET', P .. 'limits', r.task) or '0|0|0'}
end

local function lock_facts(lock)
  local owner = redis.call('GET', P .. 'unique:' .. lock)
  return owner and {owner, redis.call('PTTL', P .. 'unique:' .. lock)} or {}
end

local function pace()
  local keys, step = {}, math.floor(now / 10000)
  for i = 1, steps do keys[i] = P .. 'pace:' .. r.queue .. ':' .. (step - steps + i) end
  local counts = redis.call('MGET', unpack(keys))
  for i = 1, steps do counts[i] = tonumber(counts[i] or 0) end
  return counts
end

return answer({now, record, pause('queue', r.queue), pause('task', r.task), score('outbox', id),
  score('ready:' .. r.queue, id), redis.call('ZCARD', P .. 'ready:' .. r.queue), score('leases', r.owner or ''),
  r.limit and limit_facts(r.limit) or {}, r.unique and lock_facts(r.unique) or {}, pace(),
  redis.call('LRANGE', P .. 'pauses:' .. r.queue, 0, -1),
  r.state == 'running' and is_unheard(r.owner, tonumber(r.token or 0)),
  redis.call('ZRANK', P .. 'suspects:' .. r.queue, id) or 0})
