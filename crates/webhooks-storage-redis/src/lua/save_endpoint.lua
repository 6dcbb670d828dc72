-- Stores the definition of an endpoint, or its secrets alone, if what is stored is what is expected:
-- 'any', 'absent', or a definition revision. For the secrets the definition must be the one, too, that
-- was read: a new form of its credentials moves no revision. Answers {'saved', 'conflict' or
-- 'rewritten'; definition revision; whether deliveries of an earlier incarnation may wait}. The same
-- request is stored once.
local id, expected, request, part, read = take(), take(), take(), take(), take()
-- The number that the registry would give the change now.
local least = take()
local fields = { 'definition', take(), 'enabled', take(), 'rps', take(), 'burst', take(),
  'per_request', take(), 'tenant', take(), 'batch_wait', take() }
local at = key('endpoint', id)
local e = endpoint(id)
local live = e and not e.deleted
local v = redis.call('HMGET', at, 'defined', 'saved_by', 'tenant', 'definition')
if live and v[2] == request then return { 'saved', v[1], 1 } end
if expected == 'absent' then
  if live then return { 'conflict', 0, 0 } end
elseif expected ~= 'any' and not (live and v[1] == expected) then
  return { 'conflict', 0, 0 }
end
if part == 'secrets' and v[4] ~= read then return { 'rewritten', 0, 0 } end

-- Not a new endpoint, but a change of one: it may stop work, or end the use of a secret.
if live then write_when_full() end
local defined = touch(id, 'definition', least)
redis.call('HSET', at, 'defined', defined, 'saved_by', request, 'saved', now)
if not live then redis.call('HSET', at, 'created', now) end
if part == 'secrets' then
  redis.call('HSET', at, 'definition', fields[2])
  return { 'saved', defined, 0 }
end
redis.call('HSET', at, unpack(fields))
if fields[6] == '' then redis.call('HDEL', at, 'rps', 'burst') end
if fields[14] == '' then redis.call('HDEL', at, 'batch_wait') end
redis.call('HDEL', at, 'since')
if e and e.deleted then
  redis.call('HDEL', at, 'deleted_at', 'deleted_by', 'paused', 'disabled', 'held_until',
    'max_leased', 'failing_since')
  redis.call('ZREM', key('tombstones'), id)
elseif fields[4] == '1' then
  redis.call('HDEL', at, 'disabled')
end
local begins = not live or v[3] ~= fields[12]
if begins then
  redis.call('HSET', at, 'incarnation', defined)
  -- What is decided by what an earlier incarnation answers is void.
  if e then redis.call('HINCRBY', at, 'epoch', 1) end
end
redis.call('ZREM', key('holds'), id)
if e then
  reload(e)
  e.admit = true
end
flush()
return { 'saved', defined, begins and e and 1 or 0 }
