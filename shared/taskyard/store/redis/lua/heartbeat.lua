-- args: {owner, info, lease_ms, running of {id, token}, over, keep_ms}
-- `over`: the owner's last claim call that it is done with. It runs what it has heard of up to that, and tells it here.
local owner, info, lease_ms, running, over, keep_ms = unpack(args, 1, 6)
local held = P .. 'held:' .. owner
if has_ended(owner) then
  local ids = {}
  for i, each in ipairs(running) do ids[i] = each[1] end
  return answer({{}, ids, {}, {}})
end
redis.call('ZADD', P .. 'leases', now + lease_ms, owner)
redis.call('HSET', P .. 'workers', owner, now .. '|' .. info)

local lost, runs = {}, {}
for _, each in ipairs(running) do
  local r = fields_of(each[1], 'token', 'state')
  if tonumber(r[1] or -1) == each[2] and r[2] == 'running' then runs[each[1]] = true else lost[#lost + 1] = each[1] end
end

-- Takes back what the owner holds and does not run, as where the answer to its claim was lost. What calls that are
-- under way have claimed is left.
local given_back, under_way = {}, {}
local function look(id)
  local r = fields_of(id, 'state', 'owner', 'token')
  if r[1] ~= 'running' or r[2] ~= owner then
    redis.call('SREM', held, id)
  elseif not is_within(under_way, tonumber(r[3] or nil) or 0) and give_back(id, owner, keep_ms) then
    given_back[#given_back + 1] = id
  end
end

-- One that is late on its way, after a later one, does not tell what has begun since; the later one has looked.
local beat_before = string.match(redis.call('HGET', P .. 'beats', owner) or '', '^%d+')
if over > 0 and over >= tonumber(beat_before or 0) then
  local calls = P .. 'calls:' .. owner
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', over)
  under_way = redis.call('ZRANGE', calls, 0, -1)
  for _, id in ipairs(redis.call('SMEMBERS', held)) do
    if not runs[id] then look(id) end
  end
  redis.call('HSET', P .. 'beats', owner, over .. '|' .. (redis.call('GET', P .. 'fence') or 0))
end

local paused = {}
for _, field in ipairs(redis.call('HKEYS', P .. 'paused')) do
  local queue = string.match(field, '^queue|(.*)$')
  if queue then paused[#paused + 1] = queue end
end
return answer({redis.call('SMEMBERS', P .. 'cancels:' .. owner), lost, paused, given_back})
