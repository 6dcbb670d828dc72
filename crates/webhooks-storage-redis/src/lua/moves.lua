-- The moves of deliveries between places, and their orders.
--
-- An order is a sorted set of the deliveries that stand in it, by their `place`. The first is its head,
-- and the only one that is ready, scheduled or leased, or dead where it holds the others; those behind
-- it are blocked. Whatever ends the head makes the next one go in the same script, so that no order is
-- ever without a head.

-- Puts a delivery into another place.
local function relocate(d, e, state)
  leave(d, e)
  local from, to = INDEX[d.state], INDEX[state]
  if from ~= to then
    if from then put(sorted, key(from), d.id, false) end
    if to then put(sorted, key(to), d.id, '0') end
  end
  d.state, d.updated = state, now
  keep(d)
  enter(d, e)
end

-- Where a delivery waits that is due then.
local function waiting_for(due) return tonumber(due) > now_ms and 'scheduled' or 'ready' end

-- `order` of a delivery is a letter, which says whether it holds those behind it once it is dead, and
-- the key in JSON. The orders of an earlier incarnation are others.
local function order_at(d)
  return key('order', d.endpoint .. ':' .. d.incarnation .. ':' .. string.sub(d.order, 2))
end

-- What can be replayed and says so. What died of a full backlog or expired never had its turn.
local function holds_others(d)
  return d.state == 'dead' and string.sub(d.order, 1, 1) == 'h' and d.erased == ''
    and d.reason ~= 'expired' and d.reason ~= 'backlog_full'
end

-- Gives a delivery the last place in its order, that of its arrival. Whether it is the head.
local function stand_in_order(d)
  local at = order_at(d)
  d.place = d.seq
  redis.call('ZADD', at, 0, d.place .. ':' .. d.id)
  return redis.call('ZCARD', at) == 1
end

-- Takes a delivery out of its order. If it was the head, the next one goes.
local function leave_order(d, e, was_head)
  local at = order_at(d)
  redis.call('ZREM', at, d.place .. ':' .. d.id)
  d.place = ''
  while was_head do
    local first = redis.call('ZRANGE', at, 0, 0)[1]
    if not first then return end
    local head = row(string.sub(first, -36))
    if head then
      if head.state == 'blocked' then
        -- A query that goes on meets it as it was.
        head.was, head.was_updated = 'blocked', head.updated
        relocate(head, e, waiting_for(head.due))
      end
      return
    end
    -- Without noeviction the server may have dropped the row.
    redis.call('ZREM', at, first)
  end
end

-- Moves a delivery to another place, and out of its order if it ends.
local function move(d, e, state)
  local was_head = d.state ~= 'blocked'
  relocate(d, e, state)
  local ends = INDEX[state] == 'ended' or INDEX[state] == 'dead'
  if d.place ~= '' and ends and not holds_others(d) then leave_order(d, e, was_head) end
end

-- Cancels a delivery.
local function cancel(d, e, reason)
  d.reason = reason
  move(d, e, 'cancelled')
end

-- Why a delivery cannot wait for its endpoint any more; nil if it can.
local function stranded(d, e)
  if d.erased ~= '' then return 'erased' end
  if e.deleted then return 'endpoint_deleted' end
  if d.incarnation ~= e.incarnation then return 'endpoint_replaced' end
end

-- Moves a delivery to where it waits until it is due.
local function wait_until(d, e, due)
  d.due = due
  move(d, e, waiting_for(due))
end
