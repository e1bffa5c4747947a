-- args: ids; answers those that are pending and in the outbox, as `unpublished` does
local ready = {}
for _, id in ipairs(args) do
  local since = redis.call('ZSCORE', P .. 'outbox', id)
  local r = since and fields_of(id, 'queue', 'body', 'attempt', 'state', 'replaces') or {}
  if r[1] and r[2] and tonumber(r[3]) and r[4] == 'pending' then
    ready[#ready + 1] = {id, r[1], r[2], r[3] + 1, tonumber(since), now, r[5] and true or false}
  end
end
return answer(ready)
