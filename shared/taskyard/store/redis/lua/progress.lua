-- args: {id, token, progress}
local key = job_key(args[1])
local r = redis.call('HMGET', key, 'token', 'state')
local ours = tonumber(r[1] or -1) == args[2] and r[2] == 'running'
if ours then redis.call('HSET', key, 'progress', args[3]) end
return answer(ours)
