-- Drops the payloads of events that match, and erases what still reads them, newest first by id, a
-- bounded number at a time. Answers as `change.lua`, with an event's id to go on.
local function was_updated_then(created)
  created = tonumber(created)
  return not (q.updated_from and created < q.updated_from)
    and not (q.updated_before and created >= q.updated_before)
end

local changed = 0
-- Whether the event's payload is gone.
local function erase(id)
  local ids = ids_of_event(id)
  read_rows(ids)
  for _, of in ipairs(ids) do
    local d = row(of)
    if d and d.erased == '' then
      if changed >= most then return false end
      CHANGES.erase(d, endpoint(d.endpoint))
      changed = changed + 1
    end
  end
  if payload_bytes(id) > 0 then empty_event(id) end
  return true
end

local listed = q.event and { q.event }
local ids, last = events_below(q.before, listed, 500)
local before = q.before
for _, id in ipairs(ids) do
  local head = head_of(id)
  if takes(head) and was_updated_then(head[2]) and payload_bytes(id) > 0 and not erase(id) then
    return answer(changed, before or 'g')
  end
  before = id
end
return answer(changed, last and '' or before)
