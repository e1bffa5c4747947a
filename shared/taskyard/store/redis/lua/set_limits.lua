-- args: {task, "<concurrency>|<starts>|<per_ms>", or an empty text for none, whether the concurrency that holds now
-- stays instead, whether the rate does}: what an operator sets.
local task, text, keeps_concurrency, keeps_rate = args[1], args[2], args[3], args[4]
if keeps_concurrency or keeps_rate then
  local held = limits_of(task) or {concurrency = 0, starts = 0, per_ms = 0}
  local concurrency, rate = string.match(text, '^(%d+)|(%d+|%d+)$')
  if keeps_concurrency then concurrency = string.format('%d', held.concurrency) end
  if keeps_rate then rate = string.format('%d|%d', held.starts, held.per_ms) end
  text = concurrency .. '|' .. rate
end
set_limits('set', task, text)
return answer(true)
