-- What a storage needs to know of the server that keeps a partition, and the number of partitions
-- with which the keys were written, which the first to come decides.
local info = { redis.call('INFO', 'server'), redis.call('INFO', 'persistence'),
  redis.call('INFO', 'memory') }
redis.call('HSETNX', key('settings'), 'partitions', take())
return { redis.call('HGET', key('settings'), 'partitions'), unpack(info) }
