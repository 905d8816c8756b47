-- The state of one batch of operations on a pool.
--
-- Expects: server, batch (arguments).
-- Defines: base, served, made, refusal_of, remember.
--
-- With `remember` the server can ask for the grants of the batch again. This fragment does not know
-- the operations.

-- KEYS[1] is the hash of the pool; all its other keys begin with that name.
local base = KEYS[1]

-- Grants to waiters of this server: serial, reply, serial, reply…
local served = {}
-- Grants of this batch without an owner, for a server that has lost the reply: the batch, then serial
-- and reply of each.
local made = {batch}

-- Returns the error of a command as a reply.
local function refusal_of(problem)
  return {err = type(problem) == 'table' and problem.err or tostring(problem)}
end

-- Stores the grants of this batch until the next batch of this server that has some. A server that
-- gets the reply does not need them.
local function remember()
  if #made > 1 then
    redis.pcall('SET', base .. ':last:' .. server, cmsgpack.pack(made), 'PX', 86400000)
  end
end
