-- Numbers changes of endpoints that live in other partitions; runs in the registry.
write_when_full()
for _ = 1, tonumber(take()) do
  local kind, id = string.match(take(), '^(%a+):(.*)$')
  local value = take()
  touch(id, kind, kind == 'definition' and value or '')
end
return { 1 }
