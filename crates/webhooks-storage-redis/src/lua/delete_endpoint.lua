-- Deletes an endpoint, if it is what is expected ('any', 'absent' or a definition revision), and cancels
-- what waits for it, a bounded number at a time. Answers {'absent', 'conflict' or 'deleted'; whether to
-- repeat the call with the same request}.
local id, expected, request = take(), take(), take()
local e = endpoint(id)
if not e then return { 'absent', 0 } end
local at = key('endpoint', id)
if e.deleted then
  if redis.call('HGET', at, 'deleted_by') ~= request then return { 'absent', 0 } end
elseif expected ~= 'any' and redis.call('HGET', at, 'defined') ~= expected then
  return { 'conflict', 0 }
else
  write_when_full()
  -- Only the id is still needed; the secrets go at once.
  redis.call('HSET', at, 'definition', '', 'enabled', '0', 'deleted_at', now, 'deleted_by',
    request, 'per_request', '1')
  redis.call('HDEL', at, 'paused', 'disabled', 'held_until', 'max_leased', 'failing_since', 'rps',
    'burst', 'tat', 'tenant', 'defined', 'saved_by', 'batch_wait', 'since', 'created',
    'saved')
  redis.call('ZADD', key('tombstones'), now, id)
  redis.call('ZREM', key('holds'), id)
  redis.call('ZREM', key('filling'), id)
  redis.call('ZREM', key('turns'), id)
  redis.call('ZREM', key('full'), id)
  touch(id, 'definition', '')
  reload(e)
end
write_when_full()
cancel_waiting(e, 250)
local more = backlog(e) > 0 and 1 or 0
flush()
return { 'deleted', more }
