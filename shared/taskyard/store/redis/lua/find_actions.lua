-- args: {after_ms, before_ms, cursor_ms, cursor_id, limit}: entries of the audit log, the newest first, past the
-- cursor if its id is not empty. Answers {rows of {at, entry}, is_end}
local after, before, cursor, cursor_id, limit = unpack(args, 1, 5)
local top = cursor_id ~= '' and math.min(cursor, before) or before
local rows, offset = {}, 0
while true do
  local found = redis.call('ZREVRANGEBYSCORE', P .. 'audit_log', string.format('%.0f', top),
    string.format('%.0f', after), 'WITHSCORES', 'LIMIT', offset, limit)
  for i = 1, #found, 2 do
    local id, at = found[i], tonumber(found[i + 1])
    -- Of the same millisecond, those down to the cursor were given before.
    if not (cursor_id ~= '' and at == cursor and id >= cursor_id) then
      if #rows == limit then return answer({rows, false}) end
      rows[#rows + 1] = {at, redis.call('HGET', P .. 'audit_log:entries', id)}
    end
  end
  if #found == 0 then return answer({rows, true}) end
  offset = offset + #found / 2
end
