-- Answers {queues of {name, age of its oldest pending job in ms or -1}, counts as HGETALL gives them}
local counted = redis.call('HGETALL', P .. 'counts')
local queues, is_listed = {}, {}

local function list(queue)
  if is_listed[queue] then return end
  is_listed[queue] = true
  local oldest = redis.call('ZRANGE', P .. 'ready:' .. queue, 0, 0, 'WITHSCORES')
  queues[#queues + 1] = {queue, oldest[2] and now - tonumber(oldest[2]) or -1}
end

for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do list(queue) end
-- In a queue that no worker has declared jobs wait longest.
for i = 1, #counted, 2 do
  if tonumber(counted[i + 1]) ~= 0 then list(string.match(counted[i], '^(.*)|')) end
end
return answer({queues, counted})
