-- Charges all quotas if each has room, and none otherwise; or settles each; or makes all whole.
--
-- A bucket is that of the other script. A window is 16 bytes: tokens that are used, of which those beyond the limit are
-- owed, up to the limit again, and when the window ends, in microseconds since 1970. One that slides is 24: tokens that are used in it, tokens that were used in the one
-- before, and when it ends. Which window it is, is decided by the clock of this server.
--
-- `full` is put before it: a server without room for what is new. Then the answer is -1 where there is room for all
-- and one is not there: nothing is charged or settled.
--
-- KEYS: one for each quota, all in one slot.
-- ARGV[1]: the time in microseconds, for tests; the server's own if it is empty.
-- ARGV[2]: `take`, `settle` or `reset`.
-- Then seven for each quota. `b`, for a bucket in nanoseconds: what it takes, what it holds, the step in which
-- amounts of this size are exact, and three that do not matter. `f`, for windows of a fixed length in tokens, and `s`, for those that
-- slide:
-- what it takes, the limit, the length in microseconds, two that do not matter, and what is settled: the end of
-- its window. `c`, for windows of the calendar: what it takes, the limit, the begin of a window, its end, the end
-- of the next, and the end of the one that is settled.
--
-- The answer: 0, or the first quota that was refused; then for each what is used, when its window ends, in how
-- many microseconds, and what was used in the window before.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local mode = ARGV[2]

local function number(i, index)
  return tonumber(ARGV[i * 7 - 4 + index])
end

local function is_bucket(i)
  return ARGV[i * 7 - 4] == 'b'
end

local function slides(i)
  return ARGV[i * 7 - 4] == 's'
end

-- amount * times / by, rounded up, exactly: bit by bit where the product is more than a number holds.
local function share(amount, times, by)
  if amount * times < 9007199254740992 then
    return math.ceil(amount * times / by)
  end
  local whole, rest, bit = 0, 0, 2 ^ 50
  while bit >= 1 do
    whole, rest = whole * 2, rest * 2
    if amount >= bit then
      amount, rest = amount - bit, rest + times
    end
    local more = math.floor(rest / by)
    whole, rest, bit = whole + more, rest - more * by, bit / 2
  end
  return rest > 0 and whole + 1 or whole
end

local function window_end(i)
  local one = number(i, 3)
  if ARGV[i * 7 - 4] ~= 'c' then
    return now - now % one + one
  end
  if now < one then
    return one
  end
  if now < number(i, 4) then
    return number(i, 4)
  end
  return number(i, 5)
end

local held = redis.call('MGET', unpack(KEYS))
local before, used, at, prior = {}, {}, {}, {}
-- What is owed of a window, and of the one before.
local owed, owed_prior = {}, {}
for i = 1, #KEYS do
  local key = KEYS[i]
  if not at[key] then
    local level, seen = 0, 0
    if held[i] and #held[i] == 16 then
      level, seen = struct.unpack('<dd', held[i])
    end
    if is_bucket(i) then
      if seen < now then
        level, seen = math.max(level - (now - seen) * 1000, 0), now
      end
      local step = number(i, 3)
      if step > 1 then
        level = math.ceil(level / step) * step
      end
    elseif slides(i) then
      local past, ending = 0, window_end(i)
      level, seen = 0, 0
      if held[i] and #held[i] == 24 then
        level, past, seen = struct.unpack('<ddd', held[i])
      end
      if seen + number(i, 3) == ending then
        past, level, seen = level, 0, ending
      elseif seen < ending then
        past, level, seen = 0, 0, ending
      end
      local limit = number(i, 2)
      owed[key], owed_prior[key] = math.max(level - limit, 0), math.max(past - limit, 0)
      level, prior[key] = math.min(level, limit), math.min(past, limit)
    else
      -- The clock of this server may have been set back: a later window is the one that counts.
      local ending = window_end(i)
      if seen < ending then
        level, seen = 0, ending
      end
      owed[key] = math.max(level - number(i, 2), 0)
      level = math.min(level, number(i, 2))
    end
    before[key], used[key], at[key] = level, level, seen
  end
end

-- What is told of each: what is used after it, or, if one is refused, before all.
local refused, told, was = 0, {}, {}
if mode == 'take' then
  for i = 1, #KEYS do
    told[i] = used[KEYS[i]]
    local level, past = told[i] + number(i, 1), 0
    if slides(i) and prior[KEYS[i]] > 0 then
      past = share(prior[KEYS[i]], math.min(at[KEYS[i]] - now, number(i, 3)), number(i, 3))
    end
    if level + past > number(i, 2) then
      refused = i
      break
    end
    used[KEYS[i]], told[i] = level, level
  end
  if refused > 0 then
    told = { [refused] = told[refused] }
    used = {}
    for key, level in pairs(before) do
      used[key] = level
    end
  end
elseif mode == 'settle' then
  for i = 1, #KEYS do
    local key, limit = KEYS[i], number(i, 2)
    local function split(all)
      all = math.max(math.min(all + number(i, 1), 2 * limit), 0)
      return math.min(all, limit), math.max(all - limit, 0)
    end
    if is_bucket(i) then
      local most = math.max(limit, used[key])
      used[key] = math.max(math.min(used[key] + number(i, 1), most), 0)
    elseif at[key] == number(i, 6) then
      used[key], owed[key] = split(used[key] + owed[key])
    elseif slides(i) and at[key] - number(i, 3) == number(i, 6) then
      prior[key], owed_prior[key] = split(prior[key] + owed_prior[key])
    end
  end
else
  for key in pairs(used) do
    used[key], owed[key], owed_prior[key] = 0, 0, 0
  end
  for i = 1, #KEYS do
    was[KEYS[i]] = prior[KEYS[i]]
    if slides(i) then
      prior[KEYS[i]] = 0
    end
  end
end

for i = 1, #KEYS do
  if full and refused == 0 and mode ~= 'reset' and not held[i] then
    return { -1 }
  end
end

local answer = { refused }
for i = 1, #KEYS do
  local key = KEYS[i]
  local place = 4 * i - 2
  answer[place] = told[i] or before[key]
  answer[place + 1], answer[place + 2], answer[place + 3] = 0, 0, was[key] or prior[key] or 0
  if not is_bucket(i) then
    answer[place + 1], answer[place + 2] = at[key], at[key] - now
  end
end

for i = 1, #KEYS do
  local key = KEYS[i]
  local level = used[key]
  if level then
    level = level + (owed[key] or 0)
    local past = slides(i) and prior[key] + owed_prior[key] or 0
    if level > 0 or past > 0 then
      local lives = (at[key] - now) / 1000
      if is_bucket(i) then
        lives = lives + level / 1000000
      elseif slides(i) and level > 0 then
        lives = lives + number(i, 3) / 1000
      end
      -- A second longer than it must: clocks are read at different moments.
      lives = math.max(math.ceil(lives), 0) + 1000
      local value = struct.pack('<dd', level, at[key])
      if slides(i) then
        value = struct.pack('<ddd', level, past, at[key])
      end
      redis.call('SET', key, value, 'PX', string.format('%.0f', lives))
    elseif held[i] then
      redis.call('DEL', key)
    end
    used[key] = nil
  end
end
return answer
