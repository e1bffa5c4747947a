-- args: {queue, id, priority, since when it has that, place to begin at, jobs to look at}
-- Answers {ready jobs that come before it, whether that was the end}: of higher priority, or of the same for longer.
local queue, id, priority, since, from, limit = unpack(args, 1, 6)
local rows = redis.call('ZRANGE', P .. 'ready:' .. queue, from, from + limit - 1, 'WITHSCORES')
local count = 0
for i = 1, #rows, 2 do
  local r = fields_of(rows[i], 'priority', 'raised', 'attempt')
  local other, at = risen(r[2], (tonumber(r[3] or nil) or 0) + 1)
  other, at = other or tonumber(r[1] or nil) or -1, at or tonumber(rows[i + 1])
  local is_older = at < since or (at == since and rows[i] < id)
  if rows[i] ~= id and (other > priority or (other == priority and is_older)) then count = count + 1 end
end
return answer({count, #rows < 2 * limit})
