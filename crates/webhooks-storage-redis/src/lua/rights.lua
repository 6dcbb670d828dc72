-- Asks whether the user may call every command that the scripts call, on a key and the channel of this
-- partition, so that none is refused half way. No call changes anything: each fails for its arguments
-- or for what kind of key it is given, reads, or writes what is there. `:settings` is a hash, which the
-- first to come makes: with it is kept in how many partitions the keys are written.
local hash, none = key('settings'), key('none')
-- What is missing, as the rules of an access list that would give it; each once.
local missing, is_missing = {}, {}

local function ask(command, ...)
  local answer = redis.pcall(command, ...)
  local refusal = type(answer) == 'table' and answer.err or ''
  if not string.find(refusal, 'NOPERM', 1, true)
    and not string.find(refusal, 'The user executing the script', 1, true) then
    return refusal == '' and answer
  end
  local rule = '+' .. string.lower(command)
  -- Only what is said of keys and channels does not say "run": a name may be in the text.
  if not string.find(refusal, ' run ', 1, true) then
    rule = command == 'PUBLISH' and '&' .. channel or '~' .. string.gsub(base, '%d+}$', '') .. '*'
  end
  if not is_missing[rule] then missing[#missing + 1], is_missing[rule] = rule, true end
end

-- Goes first for full servers: see `write_when_full`.
ask('HDEL', hash, 'none')
ask('HSETNX', hash, 'partitions', take())
local partitions = ask('HGET', hash, 'partitions')
ask('TIME')
ask('DEL', none)
ask('EXISTS', none)
ask('PEXPIRE', none, 1)
ask('GET', none)
ask('STRLEN', none)
ask('MGET', none, none)
ask('GETRANGE', none, 0, 0)
ask('SET', none, '', 'XX')
ask('MSET', none, '', none)
ask('HMGET', hash, 'none')
ask('HEXISTS', hash, 'none')
ask('HGETALL', none)
ask('HSCAN', hash, 0)
ask('SREM', none, 'none')
ask('SPOP', none, 1)
ask('SMEMBERS', none)
ask('SCARD', none)
ask('LPOP', none)
ask('LTRIM', none, 0, 0)
ask('LINDEX', none, 0)
ask('LRANGE', none, 0, 0)
ask('ZREM', none, 'none')
ask('ZPOPMIN', none)
ask('ZCARD', none)
ask('ZSCORE', none, 'none')
ask('ZMSCORE', none, 'none')
ask('ZRANGE', none, 0, 0)
ask('ZRANGEBYSCORE', none, 0, 0)
ask('ZRANGEBYLEX', none, '-', '+')
ask('ZREVRANGEBYLEX', none, '+', '-')
-- Without the hash these would make something.
if partitions then
  ask('HSET', hash, 'partitions', partitions)
  ask('HINCRBY', hash, 'partitions', 0)
  ask('APPEND', hash, '')
  ask('INCR', hash)
  ask('INCRBY', hash, 1)
  ask('SADD', hash, 'none')
  ask('RPUSH', hash, '')
  ask('ZADD', hash, 0, 'none')
end
ask('PUBLISH', channel, '')
