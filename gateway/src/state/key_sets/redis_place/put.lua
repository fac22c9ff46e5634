-- Changes one key of a set, if it is still what the gateway believes it to be.
--
-- KEYS: the records, the identifiers by digest, the last uses, the log of changes: all in one slot.
-- ARGV: the identifier; the tag of the record that is there, or nothing; the record that shall be there, or
-- nothing; the tag of this change; how many digests go; these; those that come.
--
-- The answer: `done`; `changed`, if something else is there; `digest` and an identifier, if another key has one of
-- the digests.

local id, before, after = ARGV[1], ARGV[2], ARGV[3]
local there = redis.call('HGET', KEYS[1], id)
local tag = ''
if there then
  tag = cjson.decode(there).tag
end
if tag ~= before then
  return {'changed'}
end

local last = 5 + tonumber(ARGV[5])
for index = last + 1, #ARGV do
  local owner = redis.call('HGET', KEYS[2], ARGV[index])
  if owner and owner ~= id then
    return {'digest', owner}
  end
end

for index = 6, last do
  redis.call('HDEL', KEYS[2], ARGV[index])
end
for index = last + 1, #ARGV do
  redis.call('HSET', KEYS[2], ARGV[index], id)
end
if before == '' then
  redis.call('HDEL', KEYS[3], id)
end
if after == '' then
  redis.call('HDEL', KEYS[1], id)
  redis.call('HDEL', KEYS[3], id)
else
  redis.call('HSET', KEYS[1], id, after)
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'tag', ARGV[4], 'id', id)
return {'done'}
