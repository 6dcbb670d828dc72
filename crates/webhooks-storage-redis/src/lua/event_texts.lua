-- Reads events whole: per id its text and the length of its payload, or nothing and 0 if there is none.
local out = {}
for i = 1, tonumber(take()) do
  local id = take()
  out[2 * i - 1], out[2 * i] = redis.call('GET', key('event', id)) or '', payload_bytes(id)
end
return out
