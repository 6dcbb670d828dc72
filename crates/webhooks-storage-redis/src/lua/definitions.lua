-- The number of the last change of a definition, and of any change.
return { redis.call('GET', key('definitions')) or '0', redis.call('GET', key('revision')) or '0' }
