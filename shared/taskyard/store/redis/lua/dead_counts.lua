-- Answers {counts as HGETALL gives them, queues of {name, messages to remove}}
local gone = {}
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'gone:queues')) do
  gone[#gone + 1] = {queue, redis.call('ZCARD', P .. 'gone:' .. queue)}
end
return answer({redis.call('HGETALL', P .. 'dead:counts'), gone})
