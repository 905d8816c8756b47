-- The time in ms, by Redis' own clock.
--
-- Defines `clock`. It is always the first fragment: tests replace it. All servers use this clock,
-- so none of them needs an exact one.

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
