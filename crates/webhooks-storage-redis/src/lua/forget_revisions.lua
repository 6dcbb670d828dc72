-- Takes dropped tombstones off the list of changes, unless they changed since.
for _ = 1, tonumber(take()) do
  local id, revision = take(), take()
  if redis.call('ZSCORE', key('revisions'), id) == revision then
    redis.call('ZREM', key('revisions'), id)
  end
end
return { 1 }
