-- args: {task, "<concurrency>|<starts>|<per_ms>", or an empty text for none}: what an operator sets.
set_limits('set', args[1], args[2])
return answer(true)
