-- The index of all pools: a sorted set of names, each with the stamp of its latest seed. The last fragment of:
--
--   clock, first_fence, index
--
-- Expects: clock, first_fence.
--
-- A pool that was seeded again meanwhile stays listed, and no fence of a removed pool is lost. Without RETIRED
-- the index was lost, and with it maybe all pools. It does not know whether a pool exists: a pool is listed
-- before it exists, and for a while afterwards.

local call = redis.call
local index, operation = KEYS[1], ARGV[1]
-- No pool has these names: a name is not empty, and has no control characters.
local RETIRED, STAMPS = '', '\n'
-- For `create`.
local FIRST_NAME = 4

-- Returns the score of a member as a number, or 0.
local function score_of(member)
  return tonumber(call('ZSCORE', index, member)) or 0
end

local function text(number)
  return string.format('%.0f', number)
end

-- Returns true if these names would make more pools than the limit.
local function are_too_many(limit)
  local count = call('ZCARD', index)
  if count + #ARGV - FIRST_NAME + 1 <= limit then
    return false
  end
  local new = 0
  for at = FIRST_NAME, #ARGV do
    new = new + (call('ZSCORE', index, ARGV[at]) and 0 or 1)
  end
  for _, own in ipairs({RETIRED, STAMPS}) do
    count = count - (call('ZSCORE', index, own) and 1 or 0)
  end
  return new > 0 and count + new > limit
end

-- Sets the fence above which all later pools start, in a new history. The history may have outlived a lost index,
-- whose pools then had fences above this one.
local function begin(above)
  if not call('ZSCORE', index, RETIRED) then
    call('ZADD', index, text(first_fence(clock(), tonumber(above))), RETIRED)
  elseif tonumber(above) > score_of(RETIRED) then
    call('ZADD', index, above, RETIRED)
  end
  return {}
end

-- Stamps each name: from now on the pool may exist. Returns the fence to start above, and the last stamp; earlier
-- names have the stamps before it. Then it returns for each name whether it was listed already, and whether the
-- index had been lost.
local function create(limit, seen)
  if are_too_many(tonumber(limit)) then
    return {'E too many pools'}
  end
  local is_lost = not call('ZSCORE', index, RETIRED)
  if is_lost then
    call('ZADD', index, text(first_fence(clock(), tonumber(seen))), RETIRED)
  end
  local listed = {}
  for at = FIRST_NAME, #ARGV do
    listed[#listed + 1] = call('ZSCORE', index, ARGV[at]) and '1' or '0'
    call('ZADD', index, call('ZINCRBY', index, 1, STAMPS), ARGV[at])
  end
  return {text(score_of(RETIRED)), text(score_of(STAMPS)), table.concat(listed), is_lost and '1' or '0'}
end

-- Returns the number of pools, and up to `limit` of them from this stamp on, in seeding order. Names that are
-- stamped again come last, so a server that reads one part after the other misses none.
local function list(limit, from)
  limit = tonumber(limit)
  local others = (call('ZSCORE', index, RETIRED) and 1 or 0)
    + (call('ZSCORE', index, STAMPS) and 1 or 0)
  local rows = call('ZRANGEBYSCORE', index, from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit + others)
  local pools = {call('ZCARD', index) - others}
  for at = 1, #rows, 2 do
    if rows[at] ~= RETIRED and rows[at] ~= STAMPS and #pools < 1 + 2 * limit then
      pools[#pools + 1] = rows[at]
      pools[#pools + 1] = text(tonumber(rows[at + 1]))
    end
  end
  return pools
end

local function stamp(name)
  local score = call('ZSCORE', index, name)
  return {score and text(tonumber(score)) or ''}
end

-- Returns the highest fence of removed pools.
local function retired()
  return {text(score_of(RETIRED))}
end

-- Forgets the name of a pool that was removed with this fence, unless it was stamped again since.
local function forget(name, seen_stamp, fence)
  local score = call('ZSCORE', index, name)
  if score and tonumber(score) == tonumber(seen_stamp) then
    call('ZREM', index, name)
  end
  -- If the index was lost meanwhile, it needs no other fence: `create` starts above them all.
  local retired = call('ZSCORE', index, RETIRED)
  if retired and tonumber(fence) > tonumber(retired) then
    call('ZADD', index, fence, RETIRED)
  end
  return {}
end

local OPERATIONS = {
  begin = begin, create = create, list = list, stamp = stamp, retired = retired, forget = forget,
}
return OPERATIONS[operation](ARGV[2], ARGV[3], ARGV[4])
