-- args: {keep_records, ids}; answers the ids that were purged
local keep_records, ids = args[1], args[2]
local purged = {}
local function purge(id)
  if redis.call('HGET', P .. 'd:' .. id, 'is_job') == '1' then
    local r = redis.call('HMGET', job_key(id), 'state', 'queue', 'out')
    if r[1] == 'running' then return end -- about to be failed
    local is_out = (tonumber(r[3]) or 0) > 0 -- a message that would be taken for a new job
    if r[1] == 'failed' and not keep_records and not is_out then
      count(r[2], 'failed', -1)
      redis.call('HINCRBY', P .. 'totals', 'pruned|failed', 1)
      redis.call('DEL', job_key(id))
      redis.call('ZREM', P .. 'ended', id)
      redis.call('ZREM', P .. 'jobs', id)
    end
  end
  if drop_letter(id) then purged[#purged + 1] = id end
end
for _, id in ipairs(ids) do purge(id) end
return answer(purged)
