-- Ends the fan-outs of events that match a query.
write_when_full()
for _, id in ipairs(redis.call('ZRANGE', key('fan_outs'), 0, -1)) do
  local event = redis.call('HGET', key('fan_out', id), 'event') or ''
  local kind, created, tenant = string.match(event, HEAD)
  created = tonumber(created)
  if not created or not ((q.event and id ~= q.event) or (q.type and kind ~= q.type)
    or (q.tenant and tenant ~= q.tenant) or (q.from and created < tonumber(q.from))
    or (q.to and created >= tonumber(q.to)) or (q.updated and created >= tonumber(q.updated))) then
    drop_fan_out(id)
  end
end
return { 1 }
