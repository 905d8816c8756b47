-- A batch on a pool with an empty queue, where no lease is over. Most batches are like that.
--
-- Expects: call, now (begin); all of head; open, close, key, pool, padded (state); grant_with,
-- leases (grants); acquire_without_queue and the other operations (lending); all of listing.
-- Defines: replies, reply_with, operate, at, carry_out, finish.
--
-- Replies are those of the fragments after it. It returns from the script if it carries out the
-- batch without queueing. Otherwise those fragments continue from `at`. It comes before the queue's
-- fragments, so that their functions are not created.

-- The second value is known at the end.
local replies = {now, -1, served}

local function reply_with(reply)
  replies[#replies + 1] = reply
end

-- Returns the grants of a lost batch of this server, as far as they are still held.
local function grants_of_batch(number)
  local last = call('GET', key['last:' .. server])
  local known = last and cmsgpack.unpack(last) or {}
  if known[1] ~= number then
    return {}
  end
  local grants = {}
  for one = 2, #known, 2 do
    local grant = grant_with(known[one + 1]:match('^G(%d+)'))
    local ends = grant and tonumber(call('ZSCORE', key.expiry, padded(grant.fence)))
    -- Resources released or ended since then may be another holder's.
    if grant and (not ends or ends > now) then
      grants[#grants + 1] = known[one]
      grants[#grants + 1] = 'G' .. leases(grant, grant.ids)
    end
  end
  return grants
end

-- Carries out the operation at this argument; only `acquire` knows whether there is a queue. Returns
-- the position of the next one, or nil if this one needs the queue.
local function operate(at, acquire)
  local name, a, b, c, d, e, f, g = unpack(ARGV, at, at + 7)
  if name == 'A' then
    local reply = acquire(a, b, c, d, e, f, g)
    reply_with(reply)
    return reply and at + 8
  elseif name == 'R' then
    reply_with(release(a, b, c, d))
    return at + 5
  elseif name == 'N' then
    reply_with(renew(a, b, c, d))
    return at + 5
  elseif name == 'O' then
    reply_with(renew_owned(a, b, c))
    return at + 4
  elseif name == 'a' then
    for _ = 1, tonumber(a) do
      reply_with(acquire('', '1', '', '', '', '0', '0'))
    end
    return at + 2
  elseif name == 'r' then
    for one = at + 2, at + 1 + a do
      reply_with(release(ARGV[one], '', '', '0'))
    end
    return at + 2 + a
  elseif name == 'U' then
    reply_with(undo(a, b))
    return at + 3
  elseif name == 'X' then
    reply_with(release_all(a, b))
    return at + 3
  elseif name == 'l' then
    reply_with(lock_of(a))
    return at + 2
  elseif name == 'K' then
    reply_with(grants_of_batch(a))
    return at + 2
  elseif name == 'L' or name == 'M' then
    local list = name == 'L' and locks or members
    reply_with(list(tonumber(a)))
    return replies[#replies] == LONG and #ARGV + 1 or at + 2
  elseif name == 'S' then
    reply_with(status())
    return at + 1
  end
end

-- Returns true if an operation may queue a waiter, or removes the pool. An argument that looks like
-- one does no harm.
local function may_need_queue()
  for at = FIRST_OPERATION, #ARGV do
    local name = ARGV[at]
    if name == 'B' or name == 'D' or name == 'A' and ARGV[at + 6] ~= '0' then
      return true
    end
  end
  return false
end

open(base, floor, may_need_queue())

local at = FIRST_OPERATION

-- Carries out the rest of the batch, up to an operation that needs the queue.
local function carry_out(operate_at, acquire)
  while at <= #ARGV do
    local next_at = operate_at(at, acquire)
    if not next_at then
      break
    end
    at = next_at
  end
end

-- Ends the batch and returns its reply. If Redis refused a command, the operations before it are
-- answered, and its error stands for the rest.
local function finish(is_whole, problem)
  remember()
  local is_kept, why = pcall(close)
  if is_whole and not is_kept then
    is_whole, problem = false, why
  end
  if not is_whole then
    if #replies == 3 and #served == 0 then
      return refusal_of(problem)
    end
    replies[#replies + 1] = refusal_of(problem)
  end
  return replies
end

if pool.exists and pool.waiting == 0 and pool.first_end > now and not pool.has_lost then
  local is_whole, problem = pcall(carry_out, operate, acquire_without_queue)
  if at > #ARGV or not is_whole then
    return finish(is_whole, problem)
  end
end
