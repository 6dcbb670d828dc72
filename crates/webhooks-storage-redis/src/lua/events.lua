-- Events with their payloads, what drops them, and what else several scripts do to deliveries.
--
-- Each partition that has deliveries of an event has the event, too, and one without deliveries is in
-- the partition of its id. So nothing of a partition depends on another one.

-- The lines in front of an event's payload: type; time; tenant; priority, due time and retries of its
-- deliveries; ordering key; trace.
local HEAD = '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(%d+) (%-?%d+) (%d+)\n([^\n]*)\n([^\n]*)\n'

-- The texts of events, by id; false where the server has dropped one, as it may without noeviction.
local events = {}
local function read_events(deliveries)
  local ids, keys = {}, {}
  for _, d in ipairs(deliveries) do
    if events[d.event] == nil then
      ids[#ids + 1], keys[#keys + 1] = d.event, key('event', d.event)
      events[d.event] = false
    end
  end
  for i, text in ipairs(get_all(keys)) do events[ids[i]] = text end
end

-- The events that were read, each as its id and its text.
local function events_read()
  local out = {}
  for id, text in pairs(events) do
    if text then out[#out + 1], out[#out + 2] = id, text end
  end
  return out
end

-- What `HEAD` tells of an event, and the `size` of the head; nothing where the server has dropped it.
local heads = {}
local function head_of(event)
  local head = heads[event]
  if not head then
    local at = key('event', event)
    local function read(text)
      local first, size = string.find(text, HEAD)
      head = { string.match(text, HEAD) }
      head.size = first and size
    end
    -- Longer than most heads.
    read(redis.call('GETRANGE', at, 0, 1023))
    if not head.size then read(redis.call('GET', at) or '') end
    heads[event] = head
  end
  return head
end

-- How many bytes an event's payload has. None where it is erased.
local function payload_bytes(event)
  local size = head_of(event).size
  return size and redis.call('STRLEN', key('event', event)) - size or 0
end

-- The ids of an event's deliveries in this partition, those that are gone among them.
local function ids_of_event(event)
  local listed, ids, seen = redis.call('GET', key('deliveries', event)) or '', {}, {}
  for id in string.gmatch(listed, '%S+') do
    -- What was made again after it was removed is in there twice.
    if not seen[id] then ids[#ids + 1], seen[id] = id, true end
  end
  return ids
end

-- Files an event among all and among those of its tenant (in JSON, '' for none), or takes it out.
local function file_event(id, tenant, value)
  put(sorted, key('events'), id, value)
  if tenant and tenant ~= '' then put(sorted, key('tenant_events', tenant), id, value) end
end

-- The events that are there or kept by this script, by id: 'stored' or 'new'.
local there = {}

-- Keeps an event, unless it is there, with the ids of deliveries that were made of it.
local function keep_event(event, made)
  local is_new = not there[event.id]
  if is_new then
    texts[key('event', event.id)] = event.text
    file_event(event.id, event.tenant, '0')
    there[event.id] = 'new'
    if #made == 0 then put(sorted, key('bare'), event.id, event.created) end
  end
  if #made == 0 then return end
  local at, ids = key('deliveries', event.id), table.concat(made, ' ')
  if texts[at] then
    texts[at] = texts[at] .. ' ' .. ids
  elseif there[event.id] == 'stored' and redis.call('EXISTS', at) == 1 then
    redis.call('APPEND', at, ' ' .. ids)
  else
    texts[at] = ids
    if not is_new then put(sorted, key('bare'), event.id, false) end
  end
end

-- Counts one delivery more of an event as `removed` or `unread`, and tells whether all are now.
local function all_of(event, field)
  -- Their ids are of 36 bytes, with a space between two.
  local all = (redis.call('STRLEN', key('deliveries', event)) + 1) / 37
  -- With the only one that is removed the counts go, too.
  if field == 'removed' and all <= 1 then return true end
  return redis.call('HINCRBY', key('gone', event), field, 1) >= all
end

-- The events whose payloads were dropped here.
local emptied = {}

local function empty_event(event)
  local size = head_of(event).size
  if not size then return end
  local at = key('event', event)
  redis.call('SET', at, redis.call('GETRANGE', at, 0, size - 1))
  emptied[#emptied + 1] = event
end

-- Only the registry has fan-outs, which need their events.
local any_fan_outs
local function in_fan_out(event)
  if any_fan_outs == nil then any_fan_outs = redis.call('EXISTS', key('fan_outs')) == 1 end
  return any_fan_outs and redis.call('EXISTS', key('fan_out', event)) == 1
end

local function drop_event(event)
  redis.call('DEL', key('event', event))
  file_event(event, head_of(event)[3], false)
  put(sorted, key('bare'), event, false)
end

-- Events that are not younger than this go with their last delivery; a sweep sets it.
local events_until = -math.huge

-- An event has no deliveries any more: it goes, or waits to be old enough.
local function strip_event(event)
  redis.call('DEL', key('deliveries', event), key('gone', event))
  -- Without noeviction the server may have dropped the event.
  local created = tonumber(head_of(event)[2] or -math.huge)
  if created <= events_until and not in_fan_out(event) then
    drop_event(event)
  else
    put(sorted, key('bare'), event, number(created))
  end
end

-- Files a delivery among those of its event's tenant (in JSON, '' for none), or takes it out.
local function put_tenant(tenant, id, value)
  if tenant and tenant ~= '' then put(sorted, key('tenant', tenant), id, value) end
end

-- Drops a delivery. The totals of what ended stay.
local function remove(d)
  rows[d.id], changed[d.id] = false, nil
  redis.call('DEL', key('delivery', d.id), key('attempts', d.id))
  put(sorted, key(INDEX[d.state]), d.id, false)
  put(sorted, key('log'), d.id, false)
  put(sorted, key('of', d.endpoint), d.id, false)
  put_tenant(head_of(d.event)[3], d.id, false)
  if d.place ~= '' then leave_order(d, endpoint(d.endpoint), true) end
  if all_of(d.event, 'removed') then
    strip_event(d.event)
  elseif d.erased == '' then
    all_of(d.event, 'unread')
  end
end

-- Cancels up to `most` of what waits for an endpoint. How many.
local function cancel_waiting(e, most)
  local done = 0
  for _, place in ipairs({ 'blocked', 'ready', 'suspect', 'scheduled' }) do
    if done < most then
      local members = redis.call('ZRANGE', key(place, e.id), 0, most - done - 1)
      read_rows(ids_of(members))
      for _, member in ipairs(members) do
        local d = row(string.sub(member, -36))
        if d then
          cancel(d, e, 'endpoint_deleted')
        else
          -- Somebody deleted the row by hand, or the server evicted it.
          put(sorted, key(place, e.id), member, false)
          count(e, place, -1)
          if place == 'suspect' then count(e, 'ready', -1) end
        end
        done = done + 1
      end
    end
  end
  return done
end

-- Numbers a change of an endpoint, of its `definition` or of its `gate`: at once in the registry, which
-- keeps the numbers; the others note that it is to be announced there. A change of a definition gets
-- a number in any case, not less than `least` and never the same again in a partition.
--
-- `:definitions` is the number of the last change of a definition, or of the last deletion. That of the
-- registry is never less than that of a change that it was told of.
local is_registry = string.sub(base, -3) == ':0}'
local function touch(id, kind, least)
  local of = kind .. ':' .. id
  if not is_registry then
    if kind == 'gate' then return redis.call('HINCRBY', key('unannounced'), of, 1) end
    local last = tonumber(redis.call('GET', key('definitions')) or 0)
    local defined = number(math.max(last + 1, tonumber(least) or 0))
    redis.call('SET', key('definitions'), defined)
    redis.call('HSET', key('unannounced'), of, defined)
    return defined
  end
  local revision = redis.call('INCR', key('revision'))
  if revision < (tonumber(least) or 0) then
    revision = tonumber(least)
    redis.call('SET', key('revision'), least)
  end
  redis.call('ZADD', key('revisions'), number(revision), id)
  if kind == 'definition' then redis.call('SET', key('definitions'), number(revision)) end
  return number(revision)
end

-- Makes a worker that leases known, so that its silence is noticed. One that was given up and does
-- not know yet stays as silent as it was.
local known_workers = {}
local function know(worker)
  if known_workers[worker] then return end
  known_workers[worker] = true
  if redis.call('ZSCORE', key('workers'), worker) then return end
  redis.call('HSETNX', key('worker', worker), 'seen', now)
  redis.call('ZADD', key('workers'), redis.call('HGET', key('worker', worker), 'seen'), worker)
  redis.call('ZREM', key('given_up'), worker)
  redis.call('PEXPIRE', key('worker', worker), 172800000)
end
