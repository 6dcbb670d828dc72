-- The revisions of endpoints, empty for those that have none.
local out = {}
for i = 1, tonumber(take()) do out[i] = redis.call('ZSCORE', key('revisions'), take()) or '' end
return out
