-- args: {cursor_ms, cursor_id, limit}; newest first.
-- Answers {groups of {fingerprint, count, first_seen, last_seen, document of the newest}, cursor_ms, cursor_id}.
local cursor, cursor_id, limit = unpack(args, 1, 3)
local top = cursor_id ~= '' and string.format('%.0f', cursor) or '+inf'
local found, offset, last_ms, last_id = {}, 0, -1, ''
while true do
  local rows = redis.call('ZREVRANGEBYSCORE', P .. 'dead:groups', top, '-inf', 'WITHSCORES', 'LIMIT', offset, 200)
  for i = 1, #rows, 2 do
    local fingerprint, at = rows[i], tonumber(rows[i + 1])
    if not (cursor_id ~= '' and at == cursor and fingerprint >= cursor_id) then
      if #found == limit then return answer({found, last_ms, last_id}) end
      local key = P .. 'dead:f:' .. fingerprint
      local first, last = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES'), redis.call('ZREVRANGE', key, 0, 0)
      local document = redis.call('HGET', P .. 'd:' .. last[1], 'document')
      found[#found + 1] = {fingerprint, redis.call('ZCARD', key), tonumber(first[2]), at, document}
      last_ms, last_id = at, fingerprint
    end
  end
  if #rows == 0 then return answer({found, -1, ''}) end
  offset = offset + #rows / 2
end
