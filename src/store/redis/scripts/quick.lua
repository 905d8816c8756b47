-- The hot path: plain acquires and releases while the queue is empty and no lease is over.
--
-- Promises the same answers as the long way, for a few calls a batch. It returns from the script if
-- it has carried out the batch; otherwise it has changed nothing, and the long way follows. It
-- stands in front of that, so that none of its functions is created here. It does not know the queue.
--
-- The order of its writes is that of the long way, see `state`: a missing right or a full Redis stops
-- it before a change, or after.

-- Whether there is nothing but plain acquires ('a') and plain releases ('r') in the batch.
local function is_plain()
  local at = FIRST_OPERATION
  while ARGV[at] == 'a' or ARGV[at] == 'r' do
    at = at + 2 + (ARGV[at] == 'r' and tonumber(ARGV[at + 1]) or 0)
  end
  return at > #ARGV and at <= CHUNK
end

if is_plain() then
  local members, free, held = base .. ':members', base .. ':free', base .. ':held'
  local grants, expiry = base .. ':grants', base .. ':expiry'

  -- Every key that may be written is read by its type first: what a wrong one raises, it raises now. Only
  -- that of the grants is read by who releases, and is the first to be written by who acquires.
  local counters = call('HMGET', base, 'fence', 'high')
  local waiting = call('ZCARD', base .. ':line')
  local first_end = tonumber(call('ZRANGE', expiry, 0, 0, 'WITHSCORES')[2]) or math.huge
  local free_count, held_count = call('ZCARD', free), call('HLEN', held)
  local member_count = call('ZCARD', members)

  -- If there are more members than are free or held, some are in no set: the long way repairs that. The counts tell
  -- no more: a lost member and one that is free and held, or held and no member, cancel out.
  if counters[1] and waiting == 0 and first_end > now and free_count + held_count >= member_count then
    local fence, high = math.max(tonumber(counters[1]), floor), tonumber(counters[2]) or 0
    local kept_fence, kept_high = tonumber(counters[1]), high
    local replies = {now, -1, served}
    local count = #replies

    local function keep_counters(next_fence)
      if next_fence ~= kept_fence or high ~= kept_high then
        call('HSET', base, 'fence', format('%.0f', next_fence), 'high', format('%.0f', high))
        kept_fence, kept_high = next_fence, high
      end
    end

    -- The first `n` that are free, or as many as there are. What is free and held is held: Redis has stopped the
    -- script that gave it back.
    local function first_free(n)
      local ids = call('ZRANGE', free, 0, n - 1)
      local fences = #ids > 0 and call('HMGET', held, unpack(ids)) or {}
      local held_ids
      for at = 1, #fences do
        if fences[at] then
          held_ids = held_ids or {}
          held_ids[#held_ids + 1] = ids[at]
        end
      end
      if not held_ids then
        return ids
      end
      call('ZREM', free, unpack(held_ids))
      return first_free(n)
    end

    -- Answers in these places of the reply.
    local function acquire(spots)
      if #spots == 0 then
        return
      end
      local ids = first_free(#spots)
      local row_head = format('%.0f ', now) .. default_ttl .. '\n\n'
      local lease_head = ' ' .. default_ttl .. ' 0\n\n'
      local ends = default_ttl ~= '-' and now + default_ttl * 1000 + 1
      local held_now, rows, leases = {}, {}, {}
      for one = 1, #ids do
        local id, at = ids[one], 2 * one - 1
        fence = fence + 1
        local name = format('%.0f', fence)
        local granted = 'G' .. name .. lease_head .. id
        held_now[at], held_now[at + 1] = id, name
        rows[at], rows[at + 1] = name, row_head .. id
        if ends then
          leases[at], leases[at + 1] = ends, format('%016.0f', fence)
        end
        replies[spots[one]] = granted
      end
      if #ids > 0 then
        keep_counters(fence)
        call('ZREM', free, '')
        spread('ZADD', expiry, leases)
        call('HSET', grants, unpack(rows))
        call('HSET', held, unpack(held_now))
        for one = 1, #ids do
          made[#made + 1] = ''
          made[#made + 1] = replies[spots[one]]
        end
        call('ZREM', free, unpack(ids))
      end
      for at = #ids + 1, #spots do
        replies[spots[at]] = member_count == 0 and 'E only 0' or 'E busy'
      end
    end

    -- What each grant with one of these fences is kept as.
    local function rows_of(fences)
      local names, row_of = {}, {}
      for at = 1, #fences do
        names[#names + 1] = fences[at] or nil
      end
      local rows = #names > 0 and call('HMGET', grants, unpack(names)) or {}
      for at = 1, #names do
        row_of[names[at]] = rows[at]
      end
      return row_of
    end

    -- The ids of a grant but this one.
    local function without(ids, id)
      if ids == id then
        return ''
      end
      local lines = '\n' .. ids .. '\n'
      local from, to = lines:find('\n' .. id .. '\n', 1, true)
      return (lines:sub(1, from) .. lines:sub(to + 1)):sub(2, -2)
    end

    local function release(ids, spots, fences)
      fences = fences or #ids > 0 and call('HMGET', held, unpack(ids)) or {}
      local row_of = rows_of(fences)
      local given, ended, over, freed, shrunk, is_given = {}, {}, {}, {}, {}, {}
      for at = 1, #fences do
        local id, name, spot = ids[at], fences[at], spots[at]
        local row = name and not is_given[id] and row_of[name]
        local owner_at = row and row:find('\n', 1, true) + 1
        if not row then
          replies[spot] = 'E not held'
        elseif row:byte(owner_at) ~= 10 then
          replies[spot] = 'E not yours'
        else
          replies[spot] = 'D'
          is_given[id] = true
          given[#given + 1] = id
          local left = without(row:sub(owner_at + 1), id)
          if left ~= '' then
            row_of[name] = row:sub(1, owner_at) .. left
            shrunk[name] = row_of[name]
          else
            shrunk[name] = nil
            ended[#ended + 1] = name
            if row:sub(owner_at - 2, owner_at - 2) ~= '-' then
              over[#over + 1] = format('%016.0f', name)
            end
          end
          if call('ZSCORE', members, id) then
            high = high + 1
            freed[#freed + 1] = high
            freed[#freed + 1] = id
          end
        end
      end
      if #given == 0 then
        return
      end
      call('HDEL', held, '')
      if #over > 0 then
        call('ZREM', expiry, '')
      end
      spread('ZADD', free, freed)
      for name, row in pairs(shrunk) do
        call('HSET', grants, name, row)
      end
      spread('HDEL', held, given)
      spread('ZREM', expiry, over)
      spread('HDEL', grants, ended)
    end

    -- The runs of the batch: where the answers go, and of releases the ids.
    local runs, all_acquires, all_releases = {}, {}, {}
    local ids = {}
    local at = FIRST_OPERATION
    while at <= #ARGV do
      local run = {spots = {}, ids = ARGV[at] == 'r' and {}}
      local all = run.ids and all_releases or all_acquires
      for one = at + 2, at + 1 + tonumber(ARGV[at + 1]) do
        count = count + 1
        run.spots[#run.spots + 1], all[#all + 1] = count, count
        if run.ids then
          run.ids[#run.ids + 1], ids[#ids + 1] = ARGV[one], ARGV[one]
        end
      end
      runs[#runs + 1] = run
      at = at + 2 + (run.ids and #run.ids or 0)
    end

    -- What is released goes behind all that is free: while that is enough for all who acquire, and
    -- only what is held is released, the one does not see the other, and each is done at once.
    local fences = #ids > 0 and call('HMGET', held, unpack(ids)) or {}
    local is_independent = #all_acquires <= free_count
    for one = 1, #fences do
      is_independent = is_independent and fences[one]
    end
    if is_independent then
      -- A grant comes last: no error may follow that nobody hears of it for.
      release(ids, all_releases, fences)
      local is_done, problem = pcall(acquire, all_acquires)
      if not is_done then
        -- What was released is answered, also where it comes behind an acquire.
        if #all_releases == 0 then
          return refusal_of(problem)
        end
        for _, spot in ipairs(all_acquires) do
          replies[spot] = 'E store down'
        end
        replies[count + 1] = refusal_of(problem)
      end
    else
      for _, run in ipairs(runs) do
        local act = run.ids and release or acquire
        local is_done, problem = pcall(act, run.ids or run.spots, run.spots)
        if not is_done then
          -- What was done before is answered, and the refusal stands for the rest.
          for _, spot in ipairs(run.spots) do
            replies[spot] = nil
          end
          if #replies == 3 then
            return refusal_of(problem)
          end
          replies[#replies + 1] = refusal_of(problem)
          break
        end
      end
    end
    -- Fences were kept before their grants. What was done is answered, though the latest rank may not be kept.
    local is_kept, problem = pcall(keep_counters, fence)
    if not is_kept and type(replies[#replies]) == 'string' then
      replies[#replies + 1] = refusal_of(problem)
    end
    remember()
    return replies
  end
end
