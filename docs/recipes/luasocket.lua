-- Lua with LuaSocket (OpenWrt routers, Linux boards): holds one resource for as long as it runs.
--
-- One fixed line, repeated: it acquires, it renews, and after a reboot of the device or the server it
-- comes back to the same resource. If the device is gone for good, its lease ends after ttl seconds.
-- The socket stays open, so that an ask is three packets.
--
-- A device that sleeps asks when it wakes, and leases for longer than it sleeps, such as ttl=1800 for
-- ten minutes: its owner gets the same resource again.
local socket = require "socket"

local HOST, PORT = "192.168.1.5", 8081
local LOCK = "/pool/buckets/lock?owner=greenhouse-7"  -- an owner that no other device is
local EVERY = 30  -- seconds; ttl is three times that, so that one lost request costs nothing

local link  -- the socket, while it is open

local function exchange(line)
  if not link then
    link = socket.tcp()
    link:settimeout(10)
    local done, why = link:connect(HOST, PORT)
    if not done then return nil, why end
  end
  local done, why = link:send(line .. "\n")
  if not done then return nil, why end
  return link:receive "*l"
end

-- Status and body of the answer; nil and why where there is none.
local function ask(line)
  local was_open = link ~= nil
  local answer, why = exchange(line)
  if not answer then
    link:close()
    link = nil
    -- The server may have restarted: once more, over a new socket.
    if was_open then return ask(line) end
    return nil, why
  end
  local status, body = answer:match "^(%d+) ?(.*)$"
  return tonumber(status), body
end

while true do
  local status, bucket = ask("POST " .. LOCK .. "&ttl=90")
  if status == 200 then
    print("holding " .. bucket)
    -- ... work with it, for less than EVERY seconds; to give it back: ask("DELETE " .. LOCK)
  else
    print("not now: " .. bucket)
  end
  io.stdout:flush()
  socket.sleep(EVERY)
end
