-- What one batch of operations on a pool comes with.
--
-- Promises names for it, and that what the batch grants can be asked for again. It does not know
-- the operations.

-- KEYS[1] is the hash of the pool; all its other keys begin with that name.
local base = KEYS[1]
-- Who asks, and the number of this batch.
local server, batch = ARGV[4], ARGV[5]
-- A fence that this server has seen, possibly from a Redis that has been lost since.
local floor = tonumber(ARGV[6])
-- In seconds, '-' for a lease that does not end.
local default_ttl = ARGV[7] == '' and '-' or ARGV[7]
local grace, lapse, channel = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local FIRST_OPERATION = 11

-- Waiters of this server who were served: serial, reply, serial, reply…
local served = {}
-- What this batch has granted to whoever has given no name, so that a server which has not heard
-- the answer can find out: the batch, then serial and reply of each.
local made = {batch}

-- What a command has raised, as a reply.
local function refusal_of(problem)
  return {err = type(problem) == 'table' and problem.err or tostring(problem)}
end

-- Keeps what this batch has made, until the next batch of this server that makes something. Who hears
-- the answer does not need it.
local function remember()
  if #made > 1 then
    redis.pcall('SET', base .. ':last:' .. server, cmsgpack.pack(made), 'PX', 86400000)
  end
end
