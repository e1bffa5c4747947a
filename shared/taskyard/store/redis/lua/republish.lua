-- args: {older_than_ms, ids}. Puts pending jobs that have been ready for so long back into the outbox, and lets them be
-- ready from now on, as their messages are; answers them as `unpublished` does.
local older_than_ms, ids = args[1], args[2]
local ready = {}
for _, id in ipairs(ids) do
  local r = fields_of(id, 'queue', 'body', 'attempt', 'state', 'raised')
  local made = tonumber(r[3] or nil)
  local at = r[1] and r[2] and made and r[4] == 'pending' and redis.call('ZSCORE', P .. 'ready:' .. r[1], id)
  if at and tonumber(at) <= now - older_than_ms then
    make_pending(id, r[1])
    ready[#ready + 1] = ready_row(id, r[1], r[2], made, r[5], now)
  end
end
return answer(ready)
