-- Ends the fan-outs of events that match a query.
write_when_full()
for _, id in ipairs(redis.call('ZRANGE', key('fan_outs'), 0, -1)) do
  local head = { string.match(redis.call('HGET', key('fan_out', id), 'event') or '', HEAD) }
  local created = tonumber(head[2] or nil)
  if not created or (takes(head) and not (q.event and id ~= q.event)
    and not (q.updated_from and created < q.updated_from)
    and not (q.updated_before and created >= q.updated_before)) then
    drop_fan_out(id)
  end
end
return { 1 }
