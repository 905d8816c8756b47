-- The hot path: plain acquires and releases while nobody stands in line and no lease is over.
--
-- Promises the same answers as the long way, for a few calls a batch. It returns from the script if
-- it has carried out the batch; otherwise it has changed nothing, and the long way follows. It
-- stands in front of that, so that none of its functions is created here. It does not know the line.

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

  -- Every key that may be written is read by its type first: what a wrong one raises, it raises now.
  local counters = call('HMGET', base, 'fence', 'high')
  local waiting = call('ZCARD', base .. ':line')
  local first_end = tonumber(call('ZRANGE', expiry, 0, 0, 'WITHSCORES')[2]) or math.huge
  local free_count, held_count = call('ZCARD', free), call('HLEN', held)
  local member_count = call('ZCARD', members)
  call('HLEN', grants)
  call('STRLEN', base .. ':last:' .. server)

  if counters[1] and waiting == 0 and first_end > now then
    local fence, high = math.max(tonumber(counters[1]), floor), tonumber(counters[2]) or 0
    -- While nothing is reserved, what is neither free nor a held member is a member no longer.
    local has_ghosts = free_count + held_count > member_count
    local replies = {now, -1, served}
    local count = #replies

    -- Answers in these places of the reply.
    local function acquire(spots)
      if #spots == 0 then
        return
      end
      local popped = call('ZPOPMIN', free, #spots)
      local row_head = format('%.0f ', now) .. default_ttl .. '\n\n'
      local lease_head = ' ' .. default_ttl .. ' 0\n\n'
      local ends = default_ttl ~= '-' and now + default_ttl * 1000 + 1
      local held_now, rows, leases = {}, {}, {}
      local made_count = #made
      for at = 1, #popped, 2 do
        local id = popped[at]
        fence = fence + 1
        local name = format('%.0f', fence)
        local granted = 'G' .. name .. lease_head .. id
        held_now[at], held_now[at + 1] = id, name
        rows[at], rows[at + 1] = name, row_head .. id
        if ends then
          leases[at], leases[at + 1] = ends, format('%016.0f', fence)
        end
        made[made_count + at], made[made_count + at + 1] = '', granted
        replies[spots[(at + 1) / 2]] = granted
      end
      spread('HSET', held, held_now)
      spread('HSET', grants, rows)
      spread('ZADD', expiry, leases)
      for at = #popped / 2 + 1, #spots do
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
          if not has_ghosts or call('ZSCORE', members, id) then
            high = high + 1
            freed[#freed + 1] = high
            freed[#freed + 1] = id
          end
        end
      end
      spread('HDEL', held, given)
      spread('HDEL', grants, ended)
      spread('ZREM', expiry, over)
      spread('ZADD', free, freed)
      for name, row in pairs(shrunk) do
        call('HSET', grants, name, row)
      end
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
      acquire(all_acquires)
      release(ids, all_releases, fences)
    else
      for _, run in ipairs(runs) do
        if run.ids then
          release(run.ids, run.spots)
        else
          acquire(run.spots)
        end
      end
    end
    if #all_acquires + #ids > 0 and (fence ~= tonumber(counters[1]) or high ~= tonumber(counters[2])) then
      call('HSET', base, 'fence', format('%.0f', fence), 'high', format('%.0f', high))
    end
    remember()
    return replies
  end
end
