-- Lua with LuaSocket (OpenWrt routers, Linux boards): holds one resource for as long as it runs.
--
-- One fixed request, repeated: it acquires, it renews, and after a reboot of the device or the server it
-- comes back to the same resource. If the device is gone for good, its lease ends after ttl seconds.
local http = require "socket.http"
local ltn12 = require "ltn12"
local socket = require "socket"

local POOL = "http://192.168.1.5:8081/pool/buckets/lock"
local OWNER = "greenhouse-7"  -- a name that no other device has
local EVERY = 30              -- seconds; ttl is three times that, so that one lost request costs nothing
http.TIMEOUT = 10

-- Status and body of the answer; nil and why where there is none.
local function ask(method, query)
  local body = {}
  local done, status = http.request {
    method = method, url = POOL .. "?owner=" .. OWNER .. query, sink = ltn12.sink.table(body),
  }
  if done then return status, table.concat(body) end
  return nil, status
end

while true do
  local status, bucket = ask("POST", "&ttl=90")
  if status == 200 then
    print("holding " .. bucket)
    -- ... work with it, for less than EVERY seconds; to give it back: ask("DELETE", "")
  else
    print("not now: " .. bucket)
  end
  io.stdout:flush()
  socket.sleep(EVERY)
end
