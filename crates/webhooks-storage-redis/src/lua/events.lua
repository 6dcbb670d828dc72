-- Events with their payloads, what drops them, and what else several scripts do to deliveries.
-- The lines in front of an event's payload: type, time, tenant.
local HEAD = '^([^\n]*)\n([^\n]*)\n([^\n]*)\n'

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

-- Counts one delivery more of an event as `removed` or `unread`, and tells whether all are now.
local function all_of(event, field)
  -- Their ids are of 36 bytes, with a space between two.
  local all = (redis.call('STRLEN', key('deliveries', event)) + 1) / 37
  -- With the only one that is removed the counts go, too.
  if field == 'removed' and all <= 1 then return true end
  return redis.call('HINCRBY', key('gone', event), field, 1) >= all
end

-- Drops a payload once nobody reads it.
local function unread(event)
  if not all_of(event, 'unread') then return end
  local text = redis.call('GET', key('event', event))
  local _, last = string.find(text or '', HEAD)
  if last then redis.call('SET', key('event', event), string.sub(text, 1, last)) end
end

-- Type, time and tenant of an event; nothing where the server has dropped it.
local heads = {}
local function head_of(event)
  local head = heads[event]
  if not head then
    local at = key('event', event)
    -- Longer than all three are but of a tenant that nobody has checked.
    head = { string.match(redis.call('GETRANGE', at, 0, 2047), HEAD) }
    if not head[1] then head = { string.match(redis.call('GET', at) or '', HEAD) } end
    heads[event] = head
  end
  return head
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
  if all_of(d.event, 'removed') then
    redis.call('DEL', key('event', d.event), key('deliveries', d.event), key('gone', d.event))
  elseif d.erased == '' then
    unread(d.event)
  end
end

-- Cancels up to `most` of what waits for an endpoint. How many.
local function cancel_waiting(e, most)
  local done = 0
  for _, place in ipairs({ 'ready', 'suspect', 'scheduled' }) do
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

-- Numbers a change of an endpoint: at once in the first partition, which keeps the numbers; the
-- others note that it is to be announced there.
local function touch(id)
  if string.sub(base, -3) == ':0}' then
    redis.call('ZADD', key('revisions'), redis.call('INCR', key('revision')), id)
  else
    redis.call('HINCRBY', key('unannounced'), id, 1)
  end
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
  redis.call('PEXPIRE', key('worker', worker), 172800000)
end
