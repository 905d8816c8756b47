-- NodeMCU (ESP8266, its modules net and tmr): holds one resource for as long as the device runs.
--
-- One fixed line, repeated: it acquires, it renews, and after a reboot of the device or the server it
-- comes back to the same resource. If the device is gone for good, its lease ends after ttl seconds.
-- To be started when Wi-Fi has an address. The socket stays open, so that an ask is three packets.
--
-- A device that sleeps asks when it wakes, and leases for longer than it sleeps, such as ttl=1800 for
-- ten minutes: its owner gets the same resource again.
local HOST, PORT = "192.168.1.5", 8081
local ASK = "POST /pool/buckets/lock?owner=greenhouse-7&ttl=90\n"  -- an owner that no other device is
local EVERY_MS = 30 * 1000  -- ttl is three times that, so that one lost request costs nothing

local link             -- the socket, while it is open
local answered = true  -- what was asked last

local function connect()
  link = net.createConnection(net.TCP, 0)
  link:on("connection", function(it)
    answered = false
    it:send(ASK)
  end)
  link:on("receive", function(_, answer)
    answered = true
    local bucket = answer:match "^200 (.*)\n$"
    if bucket then
      print("holding " .. bucket)
      -- ... work with it, for less than EVERY_MS
    else
      print("not now: " .. answer)  -- 409 busy
    end
  end)
  link:on("disconnection", function(it, code)
    if it == link then
      link = nil
      print("no server: " .. code)
    end
  end)
  link:connect(PORT, HOST)
end

local function ask()
  if link and answered then
    answered = false
    link:send(ASK)
    return
  end
  local silent = link  -- no answer since the last time: another connection
  link = nil
  if silent then pcall(silent.close, silent) end
  connect()
end

ask()
tmr.create():alarm(EVERY_MS, tmr.ALARM_AUTO, ask)
