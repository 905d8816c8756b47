-- The state of a seed. In its script it replaces head.
--
-- Expects: nothing.
-- Defines: base, server, served, made, default_ttl, which a batch has too.
--
-- A seed serves no waiter itself: it wakes their servers.

-- The open pool, set by `open`.
local base
-- No waiter is of this server.
local server = '\n'
-- A seed grants nothing, so these stay unchanged.
local served, made, default_ttl = {}, {}, '-'
