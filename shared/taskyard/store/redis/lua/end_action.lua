-- args: {id, entry}: writes an entry of the audit log anew if it is still there; an empty text removes it.
local id, entry = args[1], args[2]
local entries = P .. 'audit_log:entries'
if entry == '' then
  redis.call('ZREM', P .. 'audit_log', id)
  redis.call('HDEL', entries, id)
elseif redis.call('HEXISTS', entries, id) == 1 then redis.call('HSET', entries, id, entry) end
return answer(true)
