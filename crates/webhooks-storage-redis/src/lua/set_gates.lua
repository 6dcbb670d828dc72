-- Changes what lets deliveries of endpoints through. Answers the ids of those that changed.
local CHANGES = {
  pause = function(at) redis.call('HSET', at, 'paused', '1') end,
  resume = function(at) redis.call('HDEL', at, 'paused', 'held_until') end,
  disable = function(at, by)
    if redis.call('HGET', at, 'disabled') == 'unverified' then by = 'unverified' end
    redis.call('HSET', at, 'enabled', '0', 'disabled', by)
  end,
  enable = function(at)
    -- Who has not answered yet is not enabled by who did not see that.
    if redis.call('HGET', at, 'disabled') == 'unverified' then return end
    redis.call('HSET', at, 'enabled', '1')
    redis.call('HDEL', at, 'disabled', 'held_until', 'max_leased', 'failing_since')
  end,
  hold = function(at, time)
    local held = redis.call('HGET', at, 'held_until')
    if not held or tonumber(held) < tonumber(time) then
      redis.call('HSET', at, 'held_until', time)
    end
  end,
  limit = function(at, most)
    if most == '' then
      redis.call('HDEL', at, 'max_leased')
    else
      redis.call('HSET', at, 'max_leased', most)
    end
  end,
  failing = function(at, since) redis.call('HSETNX', at, 'failing_since', since) end,
  recovered = function(at) redis.call('HDEL', at, 'failing_since') end,
}

local function read(at)
  local v = redis.call('HMGET', at, 'enabled', 'paused', 'disabled', 'held_until', 'max_leased',
    'failing_since')
  for i = 1, 6 do v[i] = v[i] or '-' end
  return table.concat(v, ' ')
end

write_when_full()
local changed = {}
for _ = 1, tonumber(take()) do
  local id, change, value = take(), take(), take()
  local e, at = endpoint(id), key('endpoint', id)
  if e and not e.deleted then
    local before = read(at)
    CHANGES[change](at, value)
    if read(at) ~= before then
      if change == 'resume' or change == 'enable' then redis.call('ZREM', key('holds'), id) end
      reload(e)
      e.admit = true
      touch(id)
      changed[#changed + 1] = id
    elseif redis.call('HEXISTS', key('unannounced'), id) == 1 then
      changed[#changed + 1] = id
    end
  end
end
flush()
return changed
