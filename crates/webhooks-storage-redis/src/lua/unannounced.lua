-- The changes that the registry has not numbered yet: {kind and id of the endpoint, number, ...}.
return redis.call('HSCAN', key('unannounced'), 0, 'COUNT', 100)[2]
