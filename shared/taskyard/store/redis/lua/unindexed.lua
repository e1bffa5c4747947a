-- args: rows of {id, attempts} of messages in one dead-letter queue; answers the ids that the index does not know,
-- or could not replay
local unknown = {}
for _, row in ipairs(args) do
  local id = row[1]
  local r = redis.call('HMGET', P .. 'd:' .. id, 'attempts', 'is_job', 'body')
  local is_known = r[1] and tonumber(r[1]) >= row[2]
  if is_known and r[2] == '1' and not r[3] then is_known = redis.call('EXISTS', job_key(id)) == 1 end
  if not is_known then unknown[#unknown + 1] = id end
end
return answer(unknown)
