-- The workers that are known here, those too that were given up and are not forgotten: {id, last sign of
-- life, leases, ...}.
local out = {}
for _, index in ipairs({ 'workers', 'given_up' }) do
  local known = redis.call('ZRANGE', key(index), 0, -1, 'WITHSCORES')
  for i = 1, #known, 2 do
    local n = #out
    out[n + 1], out[n + 2] = known[i], number(tonumber(known[i + 1]))
    out[n + 3] = redis.call('SCARD', key('leased', known[i]))
  end
end
return out
