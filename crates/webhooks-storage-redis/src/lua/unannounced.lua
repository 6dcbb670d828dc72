-- The changes that the first partition has not numbered yet: {id, number, ...}.
return redis.call('HSCAN', key('unannounced'), 0, 'COUNT', 100)[2]
