-- args: {lapse_ms, rows of {task, document, limits or an empty text for none}, queues}: what a worker tells of itself.
-- Of workers that tell different things of a task, as in a rolling deploy, those count that came to it last.
local lapse_ms, rows, queues = args[1], args[2], args[3]
local FORGET_MS = 3600000

-- Notes this declaration of a task; answers whether no newer one has been repeated within `lapse_ms`.
local function is_latest(task, digest)
  local kept, latest, is_known = '', nil, false
  for each, first, last in string.gmatch(redis.call('HGET', P .. 'declared', task) or '', '(%w+):(%d+):(%d+);') do
    if each == digest then last, is_known = now, true end
    if tonumber(last) > now - FORGET_MS then kept = kept .. each .. ':' .. first .. ':' .. last .. ';' end
    if tonumber(last) > now - lapse_ms then latest = each end
  end
  if not is_known then kept, latest = kept .. digest .. ':' .. now .. ':' .. now .. ';', digest end
  redis.call('HSET', P .. 'declared', task, kept)
  return latest == digest
end

for _, row in ipairs(rows) do
  local task, document, limits = row[1], row[2], row[3]
  if is_latest(task, redis.sha1hex(document .. limits)) then
    redis.call('HSET', P .. 'tasks', task, document)
    set_limits('declared', task, limits)
  end
end
for _, queue in ipairs(queues) do redis.call('SADD', P .. 'queues', queue) end
return answer(true)
