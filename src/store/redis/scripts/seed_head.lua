-- What seeding comes with. It stands for head, and promises the same names to the fragments that
-- are shared.
--
-- There is no server that waiters could be served for here: all of them are told to look.

local mode, retired = ARGV[4], tonumber(ARGV[5])
local grace, lapse, channel = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
-- The most members of a pool.
local max_members = tonumber(ARGV[9])
local FIRST_POOL = 10

-- The pool that is open, set by `open`.
local base
-- No waiter has this server.
local server = '\n'
-- Nothing is granted, so these stay as they are.
local served, made, default_ttl = {}, {}, '-'
