-- args: {replay id}; answers its state before, or '' if there is none
local key = P .. 'replay:' .. args[1]
local state = redis.call('HGET', key, 'state') or ''
if state == 'running' or state == 'waiting_for_canary' then
  redis.call('HSET', key, 'state', 'stopped', 'reason', 'asked to stop', 'finished_at', now)
  redis.call('EXPIRE', key, 2592000)
  redis.call('DEL', key .. ':todo', key .. ':canary')
  redis.call('SREM', P .. 'replays:active', args[1])
end
return answer(state)
