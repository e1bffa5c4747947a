-- args: {limit}; answers {queue, id, attempts} of messages that may leave their dead-letter queues by now: those
-- of a retried job once its new message is confirmed.
local found = {}
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'gone:queues')) do
  local key = P .. 'gone:' .. queue
  local rows = redis.call('ZRANGE', key, 0, args[1] - 1, 'WITHSCORES')
  if #rows == 0 then redis.call('SREM', P .. 'gone:queues', queue) end
  for i = 1, #rows, 2 do
    local is_unpublished = redis.call('ZSCORE', P .. 'outbox', rows[i])
      and redis.call('HGET', job_key(rows[i]), 'state') == 'pending'
    if not is_unpublished then
      found[#found + 1] = {queue, rows[i], tonumber(rows[i + 1])}
    end
  end
end
return answer(found)
