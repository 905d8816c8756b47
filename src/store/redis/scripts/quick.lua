-- The hot path: plain acquires and releases while the queue is empty and no lease is over.
--
-- Expects: CHUNK, call, format, now, spread (begin); server, floor, default_ttl, FIRST_OPERATION, RUN_COUNT,
-- RUN_ITEMS (arguments); base, served, made, refusal_of, remember (head).
-- Defines: nothing that later fragments use.
--
-- Replies are those of the fragments after it, with a few calls a batch. It returns from the script if it carried
-- out the batch. Otherwise it has changed nothing, and those fragments follow. It comes before them, so that their
-- functions are not created. It does not know the queue.
--
-- Its writes have the order that `state` describes: a missing right or a full Redis stops it before a change, or
-- after.

-- The position behind the plain acquires ('a') and plain releases ('r') that the batch begins with.
local behind_plain = FIRST_OPERATION
while ARGV[behind_plain] == 'a' or ARGV[behind_plain] == 'r' do
  local item_count = ARGV[behind_plain] == 'r' and tonumber(ARGV[behind_plain + RUN_COUNT]) or 0
  behind_plain = behind_plain + RUN_ITEMS + item_count
end

if behind_plain > #ARGV and behind_plain <= CHUNK then
  local members, free, held = base .. ':members', base .. ':free', base .. ':held'
  local grants, expiry = base .. ':grants', base .. ':expiry'

  -- Keys that may be written are read by their type first, so that a wrong type raises its error now. The key of
  -- the grants is the exception: releases read it, and acquires write it first.
  local counters = call('HMGET', base, 'fence', 'high')
  local waiting = call('ZCARD', base .. ':line')
  local first_end = tonumber(call('ZRANGE', expiry, 0, 0, 'WITHSCORES')[2]) or math.huge
  local free_count, held_count = call('ZCARD', free), call('HLEN', held)
  local member_count = call('ZCARD', members)

  -- More members than free and held resources means that some are in no set, and the later fragments repair that.
  -- Equal counts prove nothing: a lost member and a resource that is free and held, or held and no member, cancel
  -- out.
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

    -- Returns the first `n` free resources, or as many as there are. One that is free and held counts as held:
    -- Redis stopped the script that released it.
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

    -- Acquires, with the answers in these places of the reply.
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

    -- Returns the stored rows of the grants with these fences.
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

    -- Returns the ids of a grant without this one.
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

    -- The runs of the batch: the places of the answers, and for releases the ids.
    local runs, all_acquires, all_releases = {}, {}, {}
    local ids = {}
    local at = FIRST_OPERATION
    while at <= #ARGV do
      local run = {spots = {}, ids = ARGV[at] == 'r' and {}}
      local all = run.ids and all_releases or all_acquires
      local first = at + RUN_ITEMS
      for one = first, first - 1 + tonumber(ARGV[at + RUN_COUNT]) do
        count = count + 1
        run.spots[#run.spots + 1], all[#all + 1] = count, count
        if run.ids then
          run.ids[#run.ids + 1], ids[#ids + 1] = ARGV[one], ARGV[one]
        end
      end
      runs[#runs + 1] = run
      at = first + (run.ids and #run.ids or 0)
    end

    -- Released resources go behind all free ones. If the free ones suffice for all acquires, and all releases are
    -- of held resources, the two do not affect each other. Then each is done at once.
    local fences = #ids > 0 and call('HMGET', held, unpack(ids)) or {}
    local is_independent = #all_acquires <= free_count
    for one = 1, #fences do
      is_independent = is_independent and fences[one]
    end
    if is_independent then
      -- Grants come last: after them no error may hide them from the server.
      release(ids, all_releases, fences)
      local is_done, problem = pcall(acquire, all_acquires)
      if not is_done then
        -- The releases are answered, also those after an acquire.
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
          -- Earlier runs are answered, and the error stands for the rest.
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
    -- Fences were stored before their grants. The replies are sent even if the latest rank could not be stored.
    local is_kept, problem = pcall(keep_counters, fence)
    if not is_kept and type(replies[#replies]) == 'string' then
      replies[#replies + 1] = refusal_of(problem)
    end
    remember()
    return replies
  end
end
