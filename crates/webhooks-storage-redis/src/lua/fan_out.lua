-- One step of a fan-out whose deliveries live in several partitions: it begins with nothing stored but
-- the event, is looked for, and moves on. Answers {whether it is there}.
local id, step, part, text = take(), take(), take_part(), take()
if step == 'begin' then
  begin_fan_out(id, part, text, '')
  if redis.call('EXISTS', key('event', id)) == 0 then
    local _, created, tenant = string.match(text, HEAD)
    keep_event({ id = id, text = text, created = created, tenant = tenant }, {})
    flush()
  end
  return { 1 }
end
if not has_fan_out(id) then return { 0 } end
if step == 'move' then move_fan_out(id, part) end
return { 1 }
