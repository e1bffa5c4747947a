-- args: rows of {queue, id, attempts}; a later death of the same job is kept.
for _, row in ipairs(args) do
  local key = P .. 'gone:' .. row[1]
  if tonumber(redis.call('ZSCORE', key, row[2]) or -1) == row[3] then redis.call('ZREM', key, row[2]) end
end
return answer(true)
