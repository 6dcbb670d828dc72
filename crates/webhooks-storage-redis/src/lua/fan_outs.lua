-- Fan-outs: events of which some endpoints have their deliveries, and others not yet. Each is a hash:
-- what the next part needs (`head`, `event`), and the endpoint up to which it is stored (`up_to`, '' for
-- none). They are listed by the time of their last part, all in the first partition.
--
-- A part is given as its place ('' for what is none), the endpoints where it begins and ends ('' with
-- the last part), and the head.
local NO_PART = {}
local function take_part()
  local place = take()
  if place == '' then return NO_PART end
  return { is_first = place == 'first', is_later = place == 'later', from = take(), up_to = take(),
    head = take() }
end

local function file_fan_out(id, up_to)
  -- Two nodes may be at it: it never goes back.
  local known = redis.call('HGET', key('fan_out', id), 'up_to')
  if not known or known < up_to then redis.call('HSET', key('fan_out', id), 'up_to', up_to) end
  redis.call('ZADD', key('fan_outs'), now, id)
end

local function drop_fan_out(id)
  redis.call('DEL', key('fan_out', id))
  redis.call('ZREM', key('fan_outs'), id)
end

local function begin_fan_out(id, part, event, up_to)
  redis.call('HSET', key('fan_out', id), 'head', part.head, 'event', event)
  file_fan_out(id, up_to)
end

local function has_fan_out(id) return redis.call('EXISTS', key('fan_out', id)) == 1 end

local function move_fan_out(id, part)
  if part.up_to == '' then drop_fan_out(id) else file_fan_out(id, part.up_to) end
end
