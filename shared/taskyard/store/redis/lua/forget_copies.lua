-- args: rows of {queue, copies that are gone}
for _, row in ipairs(args) do lower_copies(row[1], row[2]) end
return answer(true)
