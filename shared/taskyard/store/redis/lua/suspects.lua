-- args: {queues}: answers how many jobs of these may be tried alone now.
local due = 0
for _, queue in ipairs(args[1]) do
  if not is_paused('queue', queue) then due = due + redis.call('ZCOUNT', P .. 'suspects:' .. queue, '-inf', now) end
end
return answer(due)
