-- The path with the queue, after all that is due: it carries out each batch, or the rest of one. The last fragment
-- of:
--
--   clock, arguments, begin, head, quick, state, grants, lending, listing, dispatch, operations, alone, queue,
--   queue_listing, serving, repair, due, waiting, keys, upkeep, queue_operations, queued
--
-- Expects: what dispatch defines, with `at` at the next operation, and the functions of all fragments before it.
--
-- Each operation is answered, in order, and grants to waiters of the calling server are added. It knows
-- neither other pools nor the index.

-- Answers an operation on a pool that does not exist.
local function refuse(at)
  local letter = ARGV[at]
  if letter == 'K' then
    return operate(at)
  end
  local is_run = letter == 'a' or letter == 'r'
  local count = is_run and tonumber(ARGV[at + RUN_COUNT]) or 1
  for _ = 1, count do
    if letter == 'S' then
      -- The fence above which a new pool of this name must start.
      reply_with('D ' .. (call('GET', key.fence) or '0'))
    else
      reply_with(letter == 'Q' and '-' or 'E no pool')
    end
  end
  return at + LENGTHS[letter] + (letter == 'r' and count or 0)
end

-- Carries out the operation at this argument. Returns the position of the next one.
local function operate_with_queue(at)
  if pool.exists then
    return operate_on_queue(at)
  end
  return refuse(at)
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
