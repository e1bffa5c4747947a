-- args: {index, is_ascending, score, id, low, high, scan, limit, states, queue, task, queues, tasks}: looks at entries
-- of the zset `index` after (score, id); an empty id is its beginning. Filters that are empty let all pass.
-- Answers {found of {id, score}, entries looked at, last score, last id, is_end}
local index, is_ascending, score, id, low, high, scan, limit, states, queue, task, queues, tasks =
  unpack(args, 1, 13)
local key = P .. index
local function text(number) return string.format('%.0f', number) end

-- By bytes, as Redis orders equal scores; `<` of texts goes by the server's locale.
local function is_less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function entries(from, to, ...)
  return redis.call(is_ascending and 'ZRANGE' or 'ZREVRANGE', key, from, to, ...)
end

-- The rank of the first entry after (score, id), whether or not that is still there.
local function rank_after(score, id)
  local before = is_ascending and redis.call('ZCOUNT', key, '-inf', '(' .. text(score))
    or redis.call('ZCOUNT', key, '(' .. text(score), '+inf')
  local first, last = before, before + redis.call('ZCOUNT', key, text(score), text(score))
  while first < last do
    local middle = math.floor((first + last) / 2)
    local other = entries(middle, middle)[1]
    local is_after
    if is_ascending then is_after = is_less(id, other) else is_after = is_less(other, id) end
    if is_after then last = middle else first = middle + 1 end
  end
  return first
end

local function set(list)
  local members = {}
  for _, member in ipairs(list) do members[member] = true end
  return function(value) return #list == 0 or members[value] end
end
local has_state, has_queue, has_task = set(states), set(queues), set(tasks)
local function fits(id)
  local r = redis.pcall('HMGET', job_key(id), 'state', 'queue', 'task')
  return not r.err and r[1] and has_state(r[1]) and (queue == '' or queue == r[2]) and (task == '' or task == r[3])
    and has_queue(r[2]) and has_task(r[3])
end

local from = 0
if id ~= '' then from = rank_after(score, id)
elseif high and not is_ascending then from = redis.call('ZCOUNT', key, text(high), '+inf') end
local rows = entries(from, from + scan - 1, 'WITHSCORES')
local found, looked, is_end = {}, 0, #rows < 2 * scan
for i = 1, #rows, 2 do
  local at = tonumber(rows[i + 1])
  if low and not is_ascending and at < low then is_end = true break end
  if #found == limit then is_end = false break end
  looked, score, id = looked + 1, at, rows[i]
  if fits(id) then found[#found + 1] = {id, score} end
end
return answer({found, looked, score, id, is_end})
