-- args: {owners, jobs to look at, jobs to name}. Answers {id, task, state, started_at} of those that run longest.
local found = {}
for _, owner in ipairs(args[1]) do
  if #found < args[2] then
    for _, id in ipairs(redis.call('SMEMBERS', P .. 'held:' .. owner)) do
      local r = fields_of(id, 'task', 'state', 'started_at')
      if r[2] == 'running' then found[#found + 1] = {id, r[1] or '', r[2], tonumber(r[3] or nil) or 0} end
    end
  end
end
table.sort(found, function(a, b) return a[4] < b[4] end)
while #found > args[3] do table.remove(found) end
return answer(found)
