-- args: dead letters of {id, queue, reason, fingerprint, failed_at, attempts, task, error_type, is_job, document,
-- body, priority, created_at, bytes of its message}
local function index_dead_letter(id, queue, reason, fingerprint, failed_at, attempts, task, error_type, is_job, document, body,
    priority, created_at, bytes)
  local key = P .. 'd:' .. id
  local newest = tonumber(redis.call('HGET', key, 'attempts') or -1)
  local removed = tonumber(redis.call('ZSCORE', P .. 'gone:' .. queue, id) or -1)
  if removed >= attempts or newest > attempts then return end
  local r = redis.call('HMGET', job_key(id), 'state', 'attempt')
  if is_job and r[1] and r[1] ~= 'failed' and not is_about_to_fail(r[1], r[2], attempts) then
    -- Left by an attempt that had lost its job to another one, which went on with it.
    remove_message(id, queue, attempts)
    return
  end
  unindex(id)
  redis.call('HSET', key, 'queue', queue, 'reason', reason, 'fingerprint', fingerprint, 'attempts', attempts,
    'task', task, 'error_type', error_type, 'is_job', is_job and 1 or 0, 'document', document,
    'bytes', bytes)
  if is_job and not r[1] then
    redis.call('HSET', key, 'body', body, 'priority', priority, 'created_at', created_at)
  end
  redis.call('ZADD', P .. 'dead', failed_at, id)
  redis.call('ZADD', P .. 'dead:q:' .. queue, failed_at, id)
  redis.call('ZADD', P .. 'dead:f:' .. fingerprint, failed_at, id)
  redis.call('ZADD', P .. 'dead:groups', 'GT', failed_at, fingerprint)
  redis.call('HINCRBY', P .. 'dead:counts', queue .. '|' .. reason, 1)
  redis.call('HINCRBY', P .. 'dead:bytes', queue, bytes)
end
for _, letter in ipairs(args) do index_dead_letter(unpack(letter, 1, 14)) end
return answer(true)
