-- What fences go on above where those given before may be unknown.
--
-- Promises a number above every fence that any pool was given, whatever Redis has lost: it is taken from the
-- clock, and no Redis grants as many fences a millisecond. It stays exact, since all numbers of Lua are
-- below 2^53.

-- `seen` is the highest fence that the asking server knows of, in case the clock has gone back.
local function first_fence(ms, seen)
  return math.max(math.min(ms * 512, 2^52), seen + 2^24)
end
