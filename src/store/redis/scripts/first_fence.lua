-- The fence to continue above if earlier fences may be unknown.
--
-- Defines `first_fence`: a number above every fence of any pool, whatever Redis has lost. It is taken from
-- the clock, since no Redis grants 512 fences in a ms. It stays exact, since numbers of Lua are exact below
-- 2^53.

-- `seen` is the highest fence known to the calling server, in case the clock was set back.
local function first_fence(ms, seen)
  return math.max(math.min(ms * 512, 2^52), seen + 2^24)
end
