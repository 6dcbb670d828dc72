-- Which events: those of one type or of all types that begin so, of a tenant, and of a time.
local function given()
  if take() == '1' then return take() end
end
local q = { type = given(), prefix = given(), tenant = given(), from = tonumber(given() or nil),
  to = tonumber(given() or nil) }
local by_event = q.type or q.prefix or q.tenant or q.from or q.to

-- Whether an event matches, by its head.
local function takes(head)
  local kind, created, tenant = head[1], tonumber(head[2] or nil), head[3]
  -- Without noeviction the server may have dropped the event.
  if not created then return false end
  if q.type and kind ~= q.type then return false end
  if q.prefix and string.sub(kind, 1, #q.prefix) ~= q.prefix then return false end
  if q.tenant and tenant ~= q.tenant then return false end
  return not (q.from and created < q.from) and not (q.to and created >= q.to)
end

-- Ids, newest first.
local function sort_down(ids)
  table.sort(ids, function(a, b) return a > b end)
  return ids
end

-- Up to so many of a list in falling order that are below `before`.
local function part_of(list, before, most)
  local out = {}
  for _, id in ipairs(list) do
    if #out == most then break end
    if not before or id < before then out[#out + 1] = id end
  end
  return out
end

-- Where the events are listed that can match.
local function events_at()
  return q.tenant and key('tenant_events', q.tenant) or key('events')
end

-- Events from `before` down, which match or not, and whether there are no more.
local function events_below(before, listed, most)
  local from, ids = before and '(' .. before or '+', nil
  if listed then
    ids = part_of(listed, before, most)
  else
    ids = redis.call('ZREVRANGEBYLEX', events_at(), from, '-', 'LIMIT', 0, most)
  end
  return ids, #ids < most
end
