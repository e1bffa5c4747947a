-- args: ids; answers those that are pending and in the outbox, as `unpublished` does
local ready = {}
for _, id in ipairs(args) do
  local since = redis.call('ZSCORE', P .. 'outbox', id)
  local r = since and fields_of(id, 'queue', 'body', 'attempt', 'state', 'replaces', 'raised') or {}
  if r[1] and r[2] and tonumber(r[3]) and r[4] == 'pending' then
    ready[#ready + 1] = ready_row(id, r[1], r[2], tonumber(r[3]), r[6], tonumber(since), r[5])
  end
end
return answer(ready)
