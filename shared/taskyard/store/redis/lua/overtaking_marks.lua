-- args: {queue, jobs of one worker that are looked at}. Answers for each priority, from 0 to 9, the time before which
-- its jobs became ready that have been overtaken: one that comes after them, for it is of the same priority and became
-- ready later, or of a lower one and started later, runs just now.
local queue, sample = args[1], args[2]
-- What a worker has in its hands of a lower priority when one of a higher comes, it may start before that one.
local IN_HAND_MS = 2000
local marks = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
local function raise(priority, at) marks[priority + 1] = math.max(marks[priority + 1], at) end

-- A job that was handed back became ready again just then, and its message is where it was: it has overtaken none.
local function is_handed_back(gaps, ready_at)
  return gaps and string.find(gaps, 'handed_back:%d+:' .. ready_at .. ';') ~= nil
end

for _, owner in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', now, '+inf')) do
  for _, id in ipairs(redis.call('SRANDMEMBER', P .. 'held:' .. owner, sample)) do
    local r = fields_of(id, 'queue', 'state', 'priority', 'ready_at', 'started_at', 'gaps', 'attempt', 'raised')
    local priority, ready_at, started_at = tonumber(r[3] or 5), tonumber(r[4] or nil), tonumber(r[5] or nil)
    local is_running = r[1] == queue and r[2] == 'running' and marks[(priority or -2) + 1] and ready_at and started_at
    if is_running and not is_handed_back(r[6], r[4]) then
      raise(priority, ready_at)
      -- One that has risen by waiting may have been the highest of all.
      if not risen(r[8], tonumber(r[7] or nil)) then
        for higher = priority + 1, 9 do raise(higher, started_at - IN_HAND_MS) end
      end
    end
  end
end
return answer(marks)
