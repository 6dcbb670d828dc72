-- Makes deliveries of events.
--
-- An event is { id, text, created, due, priority, retries, tenant, sort, sent }: what its head tells,
-- and by what its deliveries are put in their queues.
local function event_of(id, text, head)
  return { id = id, text = text, created = head[2], tenant = head[3], priority = head[4],
    due = head[5], max_retries = head[6], sent = head[2] }
end

-- `flags` of a delivery are two digits, whether it was sent by name and whether it is leased at once, and
-- then its order.
local function take_delivery()
  local d = { id = take(), endpoint = take(), incarnation = take() }
  local flags = take()
  d.by_name, d.leased = string.sub(flags, 1, 1), string.sub(flags, 2, 2) == '1'
  d.order = string.sub(flags, 3)
  return d
end

-- Whether there is the endpoint that a delivery is for.
local function has_endpoint(d)
  local e = endpoint(d.endpoint)
  return e and not e.deleted and (d.incarnation == '' or d.incarnation == e.incarnation)
end

-- Makes a delivery with this number of arrival, leased to `worker` if there is one.
local function make(event, d, seq, worker)
  local e = endpoint(d.endpoint)
  local made = { id = d.id, endpoint = d.endpoint, event = event.id, priority = event.priority,
    due = event.due, attempts = '0', max_retries = event.max_retries, crashes = '0', token = '0',
    worker = '', reason = '', updated = now, erased = '', incarnation = e.incarnation,
    by_name = d.by_name, status = '', failure = '', order = d.order, settled = '',
    seq = string.format('%016d', seq), sort = event.sort, sent = event.sent, place = '' }
  if d.order ~= '' then
    made.state = stand_in_order(made) and waiting_for(event.due) or 'blocked'
  elseif d.leased and worker ~= '' then
    made.state, made.token, made.worker = 'leased', '1', worker
    know(worker)
  else
    made.state = waiting_for(event.due)
  end
  local index = INDEX[made.state]
  if index then put(sorted, key(index), d.id, '0') end
  keep(made)
  put(sorted, key('of', d.endpoint), d.id, '0')
  put_tenant(event.tenant, d.id, '0')
  count(e, 'enqueued', 1)
  enter(made, e)
end
