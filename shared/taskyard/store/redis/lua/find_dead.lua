-- args: {queue, task, reason, error_type, fingerprint, jobs_only, after_ms, before_ms, cursor_ms, cursor_id, limit,
-- scan_limit}; empty texts filter nothing. Newest first. Answers {found of {id, failed_at}, cursor_ms, cursor_id}.
local queue, task, reason, error_type, fingerprint, jobs_only, after, before, cursor, cursor_id, limit, scan_limit =
  unpack(args, 1, 12)
local key = P .. 'dead'
if fingerprint ~= '' then key = P .. 'dead:f:' .. fingerprint
elseif queue ~= '' then key = P .. 'dead:q:' .. queue end
local top = cursor_id ~= '' and cursor or before
local found, scanned, offset = {}, 0, 0
local last_ms, last_id = -1, ''

local function fits(id)
  local r = redis.call('HMGET', P .. 'd:' .. id, 'queue', 'task', 'reason', 'error_type', 'fingerprint', 'is_job')
  return r[1] and (queue == '' or r[1] == queue) and (task == '' or r[2] == task)
    and (reason == '' or r[3] == reason) and (error_type == '' or r[4] == error_type)
    and (fingerprint == '' or r[5] == fingerprint) and (not jobs_only or r[6] == '1')
end

while true do
  local rows = redis.call('ZREVRANGEBYSCORE', key, string.format('%.0f', top), string.format('%.0f', after),
    'WITHSCORES', 'LIMIT', offset, 200)
  for i = 1, #rows, 2 do
    local id, at = rows[i], tonumber(rows[i + 1])
    -- Of the same millisecond, those down to the cursor were given before.
    if not (cursor_id ~= '' and at == cursor and id >= cursor_id) then
      if #found == limit or scanned == scan_limit then return answer({found, last_ms, last_id}) end
      scanned = scanned + 1
      if fits(id) then found[#found + 1] = {id, at} end
      last_ms, last_id = at, id
    end
  end
  if #rows == 0 then return answer({found, -1, ''}) end
  offset = offset + #rows / 2
end
