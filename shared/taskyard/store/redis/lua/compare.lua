-- args: {ids, needs_body, needs_error, max_bytes}: what filters go by of these jobs, and what each would take to read;
-- of as many as fit into `max_bytes`, and of one at least. Answers rows of {state, queue, task, created_at, bytes, body
-- or '', latest attempt or ''}; {} for what is no job.
local ids, needs_body, needs_error, max_bytes = unpack(args, 1, 4)
-- What is kept of attempts, at most, and what other fields take, about.
local KEPT, OTHERS = 25, 1000

local function row_of(key)
  local r = redis.pcall('HMGET', key, 'state', 'queue', 'task', 'created_at', 'attempt')
  if r.err or not (r[1] and r[2] and r[3] and r[4]) then return {} end
  local attempts = tonumber(r[5] or nil) or 0
  local latest = 'a:' .. string.format('%.0f', attempts)
  local size = redis.call('HSTRLEN', key, 'body') + redis.call('HSTRLEN', key, 'result') + OTHERS
    + math.min(attempts, KEPT) * redis.call('HSTRLEN', key, latest)
  return {r[1], r[2], r[3], tonumber(r[4]) or 0, size, needs_body and redis.call('HGET', key, 'body') or '',
    needs_error and redis.call('HGET', key, latest) or ''}
end

local rows, bytes = {}, 0
for i, id in ipairs(ids) do
  local row = row_of(job_key(id))
  rows[i] = row
  if row[1] then bytes = bytes + #row[6] + #row[7] end
  if bytes >= max_bytes then break end
end
return answer(rows)
