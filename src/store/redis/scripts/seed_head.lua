-- The arguments of a seed. In its script it replaces head.
--
-- Expects: nothing.
-- Defines: mode, retired, max_members, FIRST_POOL, and of head's names base, server, served, made,
-- default_ttl, grace, lapse, channel.
--
-- A seed serves no waiter itself: it wakes their servers.

local mode, retired = ARGV[4], tonumber(ARGV[5])
local grace, lapse, channel = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
-- The limit on members of a pool.
local max_members = tonumber(ARGV[9])
local FIRST_POOL = 10

-- The open pool, set by `open`.
local base
-- No waiter is of this server.
local server = '\n'
-- A seed grants nothing, so these stay unchanged.
local served, made, default_ttl = {}, {}, '-'
