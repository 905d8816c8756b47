-- The dispatch of a batch, for all paths but the quick one: it goes from operation to operation, and collects their
-- replies.
--
-- Expects: call, now (begin); server, FIRST_OPERATION (arguments); served, refusal_of, remember (head); close, key,
-- padded (state); grant_with, leases (grants).
-- Defines: replies, reply_with, grants_of_batch, at, carry_out, finish.
--
-- The functions that carry out one operation are made from the table `operations.rs`, as it names their arguments.

-- The second value is known at the end.
local replies = {now, -1, served}

local function reply_with(reply)
  replies[#replies + 1] = reply
end

-- Returns the grants of a lost batch of this server, as far as they are still held.
local function grants_of_batch(lost_batch)
  local last = call('GET', key['last:' .. server])
  local known = last and cmsgpack.unpack(last) or {}
  if known[1] ~= lost_batch then
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

local at = FIRST_OPERATION

-- Carries out the rest of the batch, up to an operation that needs the queue: `operate_at` returns the position of
-- the next operation, or nil.
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
