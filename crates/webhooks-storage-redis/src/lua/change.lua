-- Changes deliveries by hand. Answers {how many were changed, where to go on or '', events whose
-- payloads were dropped}.
local changed = 0
local next_before = scan(most, function(d)
  if not CHANGES[to](d, endpoint(d.endpoint)) then return false end
  changed = changed + 1
  return true
end)
return answer(changed, next_before)
