-- What was purged is in KEYS[1]: a key or a tag with the generation of its last purge, under 'g' the generation of now,
-- and under 'f' the one below which nothing holds.
--
-- A value begins with 'GWC1', the generation it is of in 16 digits, how many tags it has in two, and these, of 9 bytes.

local function holds(value, own, floor)
  local generation = tonumber(string.sub(value, 5, 20))
  local tags = tonumber(string.sub(value, 21, 22))
  if string.sub(value, 1, 4) ~= 'GWC1' or not generation or not tags or generation < floor then
    return false
  end
  local members = { own }
  for i = 0, tags - 1 do
    members[#members + 1] = string.sub(value, 23 + i * 9, 31 + i * 9)
  end
  for _, at in ipairs(redis.call('ZMSCORE', KEYS[1], unpack(members))) do
    if at and tonumber(at) > generation then
      return false
    end
  end
  return true
end

