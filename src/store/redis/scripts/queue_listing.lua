-- The queue as others see it.
--
-- Promises to change nothing, and to say '-' where servers of an older version have left no time.

-- Nobody waits for ten years: a place that says so was counted, and tells no time.
local LONGEST_MS = 315360000000

-- Until when each place is kept whose owner is away.
local function ends_of_absences()
  local rows, ends = call('ZRANGE', key.absent, 0, -1, 'WITHSCORES'), {}
  for at = 1, #rows, 2 do
    ends[rows[at]] = tonumber(rows[at + 1])
  end
  return ends
end

-- How long a waiter has waited, how long it still does, how many it wants, and whether it is away;
-- then its owner and what it wants, a line each.
local function waiter_lines(w, ends)
  local age = now - since_of(w)
  return (age < LONGEST_MS and seconds(age) or '-') .. ' '
    .. (ends and seconds(ends - now) or '-') .. ' '
    .. num(w.n or 1) .. ' ' .. (w.server == '' and '1' or '0') .. '\n' .. w.owner .. '\n' .. w.id
end

local function list_queue()
  local absences = pool.waiting > 0 and ends_of_absences()
  local lines, place = {}, '-inf'
  while pool.waiting > 0 do
    local waiters, names = waiters_from(place, CHUNK), {}
    if #waiters == 0 then
      break
    end
    for at, w in ipairs(waiters) do
      names[at] = ticket_of(w)
    end
    local tickets = call('HMGET', key.tickets, unpack(names))
    for at, w in ipairs(waiters) do
      lines[#lines + 1] = waiter_lines(w, end_of_ticket(tickets[at]) or absences[w.place])
    end
    place = '(' .. waiters[#waiters].place
  end
  return 'P' .. table.concat(lines, '\n')
end
