-- args: {queue, older_than_ms, marks as `overtaking_marks` gives them, first to look at, how many}. Answers {ids of pending
-- jobs that the broker confirmed and that have been overtaken, oldest first; whether these were the last}.
local queue, older_than_ms, marks, first, limit = unpack(args, 1, 5)
local rows = redis.call('ZRANGEBYSCORE', P .. 'ready:' .. queue, '-inf', now - older_than_ms, 'WITHSCORES', 'LIMIT',
  first, limit)
local ids, last_mark = {}, math.max(unpack(marks))
for i = 1, #rows, 2 do
  local id, ready_at = rows[i], tonumber(rows[i + 1])
  if ready_at >= last_mark then return answer({ids, true}) end
  local mark = marks[(tonumber(fields_of(id, 'priority')[1] or 5) or 5) + 1] or last_mark
  if ready_at < mark and not redis.call('ZSCORE', P .. 'outbox', id) then ids[#ids + 1] = id end
end
return answer({ids, #rows < 2 * limit})
