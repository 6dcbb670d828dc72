-- Stores a document, if what is there is what is expected: 'any', 'absent' or a revision. Answers
-- {revision}, or {''} for a conflict. The same request is stored once.
local kind, id, value, expires, expected, request = take(), take(), take(), take(), take(), take()
local name = document_name(kind, id)
local at, there_now = key('document', name), read_document(name)
local by = redis.call('HMGET', at, 'saved_by', 'revision')
if by[1] == request then return { by[2] } end
if expected == 'absent' and there_now then return { '' } end
if expected ~= 'any' and expected ~= 'absent' and not (there_now and there_now[2] == expected) then
  return { '' }
end
local revision = number(redis.call('INCR', key('document_revision')))
redis.call('HSET', at, 'value', value, 'revision', revision, 'saved_by', request)
redis.call('ZADD', key('documents', kind), 0, id)
if expires ~= '' then
  redis.call('HSET', at, 'expires', expires)
  redis.call('ZADD', key('expiring'), expires, name)
else
  redis.call('HDEL', at, 'expires')
  redis.call('ZREM', key('expiring'), name)
end
return { revision }
