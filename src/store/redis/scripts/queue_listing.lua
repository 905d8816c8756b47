-- The queue as clients see it.
--
-- Expects: CHUNK, call, now (begin); key, pool, num (state); seconds (grants); count_of (lending);
-- waiters_from, ticket_of, end_of_ticket, since_of (queue).
-- Defines: list_queue.
--
-- It changes nothing. A time that servers of an older version did not store is '-'.

-- The longest credible age, ten years: a greater one is a place that was counted up, which has no
-- time.
local LONGEST_MS = 315360000000

-- Returns the ends of the places of absent owners.
local function ends_of_absences()
  local rows, ends = call('ZRANGE', key.absent, 0, -1, 'WITHSCORES'), {}
  for at = 1, #rows, 2 do
    ends[rows[at]] = tonumber(rows[at + 1])
  end
  return ends
end

-- Formats a waiter: its age, the time left, the number of resources and whether it is absent; then
-- its owner and the id that it wants, a line each.
local function waiter_lines(w, ends)
  local age = now - since_of(w)
  return (age < LONGEST_MS and seconds(age) or '-') .. ' '
    .. (ends and seconds(ends - now) or '-') .. ' '
    .. num(count_of(w.n) or 1) .. ' ' .. (w.server == '' and '1' or '0') .. '\n' .. w.owner .. '\n' .. w.id
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
