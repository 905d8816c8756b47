-- One batch of operations on one pool, after all that is due. The last fragment of:
--
--   clock, begin, head, quick, state, grants, lending, listing, batch, queue, queue_listing, serving, repair,
--   due, waiting, keys, pool
--
-- Expects: what batch defines, with `at` at the next operation, and the functions of all fragments before it.
--
-- Each operation is answered, in order, and grants to waiters of the calling server are added. It knows
-- neither other pools nor the index.

-- Polls for this server's waiters, and records its heartbeat.
local function poll()
  local until_ms = tonumber(call('ZSCORE', key.servers, server))
  if not until_ms or until_ms <= now then
    call('ZREM', key.servers, server)
    return 'lapsed'
  end
  record_heartbeat()
  serve_from('-inf')
  return '-'
end

-- Removes the pool and answers its waiters. The last grants of each server stay known.
local function remove()
  local waiters = waiters_where(function(w) return w.server ~= '' end)
  -- Comes after a write that a full Redis allows, since it is not one.
  try_to_remove()
  call('SET', key.fence, num(pool.fence))
  call('UNLINK', unpack(keys_of(base)))
  pool.exists, pool.waiting = false, 0
  for _, w in ipairs(waiters) do
    notify(w.server, w.serial, 'E no pool')
  end
  return 'D ' .. num(pool.fence)
end

-- The number of arguments of each operation.
local ARGUMENTS = {
  A = 7, R = 4, N = 4, O = 3, X = 2, U = 2, L = 1, l = 1, M = 1, S = 0, W = 0, Q = 2, B = 0, D = 0, a = 1,
}

-- Answers an operation on a pool that does not exist.
local function refuse(at)
  local name = ARGV[at]
  local count = tonumber(ARGV[at + 1])
  if name == 'K' then
    return operate(at)
  end
  for _ = 1, (name == 'a' or name == 'r') and count or 1 do
    if name == 'S' then
      -- The fence above which a new pool of this name must start.
      reply_with('D ' .. (call('GET', key.fence) or '0'))
    else
      reply_with(name == 'Q' and '-' or 'E no pool')
    end
  end
  return at + 1 + (name == 'r' and 1 + count or ARGUMENTS[name])
end

-- Carries out the operation at this argument. Returns the position of the next one.
local function operate_with_queue(at)
  local name = ARGV[at]
  if not pool.exists then
    return refuse(at)
  elseif name == 'B' then
    reply_with(poll())
  elseif name == 'W' then
    reply_with(list_queue())
  elseif name == 'D' then
    reply_with(remove())
  elseif name == 'Q' then
    reply_with(withdraw(ARGV[at + 1], ARGV[at + 2]))
  else
    return operate(at, acquire)
  end
  return at + 1 + ARGUMENTS[name]
end

local function carry_out_with_queue()
  -- The question for a lost batch must not grant anything: that would replace the stored grants.
  if pool.exists and at == FIRST_OPERATION and ARGV[at] ~= 'K' then
    repair_if_lost()
    handle_due()
  end
  carry_out(operate_with_queue)
end

local is_whole, problem = pcall(carry_out_with_queue)
local reply = finish(is_whole, problem)
if is_whole then
  replies[2] = time_to_poll()
end
return reply
