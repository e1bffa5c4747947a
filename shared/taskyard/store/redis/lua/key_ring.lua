-- Answers {now, keys of {document, created, expires or 0, revoked or 0, used or 0}}
local documents, times, rows = redis.call('HGETALL', P .. 'keys'), {}, {}
local stamps = redis.call('HGETALL', P .. 'keys:times')
for i = 1, #stamps, 2 do times[stamps[i]] = tonumber(stamps[i + 1]) end
for i = 1, #documents, 2 do
  local id = documents[i] .. '|'
  rows[#rows + 1] = {documents[i + 1], times[id .. 'created'] or 0, times[id .. 'expires'] or 0,
    times[id .. 'revoked'] or 0, times[id .. 'used'] or 0}
end
return answer({now, rows})
