-- NodeMCU (ESP8266, its modules http and tmr): holds one resource for as long as the device runs.
--
-- One fixed request, repeated: it acquires, it renews, and after a reboot of the device or the server it
-- comes back to the same resource. If the device is gone for good, its lease ends after ttl seconds.
-- To be started when Wi-Fi has an address. Requests must not overlap: the next one is set up by the answer.
local POOL = "http://192.168.1.5:8081/pool/buckets/lock"
local OWNER = "greenhouse-7"  -- a name that no other device has
local EVERY_MS = 30 * 1000    -- ttl is three times that, so that one lost request costs nothing

local function ask()
  http.post(POOL .. "?owner=" .. OWNER .. "&ttl=90", nil, "", function(status, body)
    if status == 200 then
      print("holding " .. body)
      -- ... work with it, for less than EVERY_MS
    else
      print("not now: " .. status .. " " .. (body or ""))  -- 409 busy; -1 where there is no answer
    end
    tmr.create():alarm(EVERY_MS, tmr.ALARM_SINGLE, ask)
  end)
end

ask()
