-- args: {queue, rows of {id, failed_at}}. Takes dead letters out of the index, but for those that have died again since,
-- and those that have all that is left of their job. Answers how many were taken out.
local queue, rows = args[1], args[2]
local forgotten = 0
for _, row in ipairs(rows) do
  local id, failed_at = row[1], row[2]
  local is_same = tonumber(redis.call('ZSCORE', P .. 'dead:q:' .. queue, id) or -1) == failed_at
  local is_whole = redis.call('HEXISTS', P .. 'd:' .. id, 'body') == 0 or redis.call('EXISTS', job_key(id)) == 1
  if is_same and is_whole then
    unindex(id)
    forgotten = forgotten + 1
  end
end
return answer(forgotten)
