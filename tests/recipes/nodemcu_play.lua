-- Plays NodeMCU's modules http and tmr on top of LuaSocket, and runs a program: nodemcu_play.lua FILE
--
-- As its documentation has it: a request with `Connection: close`, whose callback comes when the server has
-- closed, with the status and the body, or with -1; and one request at a time.
local socket = require "socket"

local later = {}  -- what is to be done, with its time

tmr = { ALARM_SINGLE = 0 }

function tmr.create()
  return {
    alarm = function(_, ms, mode, callback)
      assert(mode == tmr.ALARM_SINGLE)
      table.insert(later, { at = socket.gettime() + ms / 1000, callback = callback })
    end,
  }
end

http = {}
local is_busy = false

function http.post(url, headers, body, callback)
  assert(not is_busy, "requests must not overlap")
  assert(headers == nil and body == "")
  is_busy = true
  local host, port, path = url:match "^http://([^:/]+):(%d+)(/.*)$"
  local function done(...)
    local answer = { ... }
    table.insert(later, { at = 0, callback = function()
      is_busy = false
      callback(unpack(answer))
    end })
  end
  local connection = socket.tcp()
  connection:settimeout(10)
  if not connection:connect(host, tonumber(port)) then return done(-1) end
  connection:send("POST " .. path .. " HTTP/1.1\r\nHost: " .. host .. ":" .. port .. "\r\nConnection: close\r\n"
    .. "User-Agent: ESP8266\r\nContent-Length: 0\r\n\r\n")
  local answer = connection:receive "*a"
  connection:close()
  local status, rest = (answer or ""):match "^HTTP/1.1 (%d+) .-\r\n\r\n(.*)$"
  if status then done(tonumber(status), rest) else done(-1) end
end

io.stdout:setvbuf "line"
dofile(arg[1])
while #later > 0 do
  table.sort(later, function(a, b) return a.at < b.at end)
  local next = table.remove(later, 1)
  socket.sleep(math.max(0, next.at - socket.gettime()))
  next.callback()
end
