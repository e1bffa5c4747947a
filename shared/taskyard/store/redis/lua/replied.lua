-- args: rows of {id, again_at}
for _, row in ipairs(args) do
  if tonumber(redis.call('ZSCORE', P .. 'replies', row[1]) or -1) == row[2] then
    redis.call('ZREM', P .. 'replies', row[1])
    redis.call('HDEL', P .. 'asked', row[1])
  end
end
return answer(true)
