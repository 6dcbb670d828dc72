-- The endpoints that changed after a revision: {the last revision, id, revision, id, ...}.
local after, most = take(), take()
local found = redis.call('ZRANGEBYSCORE', key('revisions'), '(' .. after, '+inf', 'WITHSCORES',
  'LIMIT', 0, most)
table.insert(found, 1, redis.call('GET', key('revision')) or '0')
return found
