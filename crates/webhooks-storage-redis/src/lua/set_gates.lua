-- Changes what lets deliveries of endpoints through. Answers the ids of those that changed.
local CHANGES = {
  pause = function(at) redis.call('HSET', at, 'paused', '1') end,
  resume = function(at) redis.call('HDEL', at, 'paused', 'held_until') end,
  disable = function(at, by)
    local v = redis.call('HMGET', at, 'enabled', 'disabled')
    local by_responses = { gone = true, failing = true }
    -- Answers change nothing that was decided by hand.
    if by_responses[by] and v[1] ~= '1' and not by_responses[v[2]] then return end
    if redis.call('HGET', at, 'disabled') == 'unverified' then by = 'unverified' end
    redis.call('HSET', at, 'enabled', '0', 'disabled', by)
  end,
  enable = function(at)
    -- Who has not answered yet is not enabled by who did not see that.
    if redis.call('HGET', at, 'disabled') == 'unverified' then return end
    redis.call('HSET', at, 'enabled', '1')
    redis.call('HDEL', at, 'disabled', 'held_until', 'max_leased', 'failing_since')
    redis.call('HINCRBY', at, 'epoch', 1)
  end,
  reset = function(at)
    redis.call('HDEL', at, 'held_until', 'max_leased', 'failing_since')
    redis.call('HINCRBY', at, 'epoch', 1)
  end,
  hold = function(at, time)
    local held = redis.call('HGET', at, 'held_until')
    if not held or tonumber(held) < tonumber(time) then
      redis.call('HSET', at, 'held_until', time)
    end
  end,
  limit_leased = function(at, most)
    if most == '' then
      redis.call('HDEL', at, 'max_leased')
    else
      redis.call('HSET', at, 'max_leased', most)
    end
  end,
  failing_since = function(at, since) redis.call('HSETNX', at, 'failing_since', since) end,
  recovered = function(at) redis.call('HDEL', at, 'failing_since') end,
}

local function read(at)
  local v = redis.call('HMGET', at, 'enabled', 'paused', 'disabled', 'held_until', 'max_leased',
    'failing_since', 'epoch')
  for i = 1, 7 do v[i] = v[i] or '-' end
  return table.concat(v, ' ')
end

write_when_full()
local changed = {}
for _ = 1, tonumber(take()) do
  local id, change, value, epoch = take(), take(), take(), take()
  local e, at = endpoint(id), key('endpoint', id)
  -- What was decided before somebody enabled or reset it is void.
  local is_void = epoch ~= ''
    and tonumber(epoch) < tonumber(redis.call('HGET', at, 'epoch') or 0)
  if e and not e.deleted and not is_void then
    local before = read(at)
    CHANGES[change](at, value)
    if read(at) ~= before then
      if change == 'resume' or change == 'enable' or change == 'reset' then redis.call('ZREM', key('holds'), id) end
      reload(e)
      e.admit = true
      touch(id, 'gate')
      changed[#changed + 1] = id
    elseif redis.call('HEXISTS', key('unannounced'), 'gate:' .. id) == 1 then
      changed[#changed + 1] = id
    end
  end
end
flush()
return changed
