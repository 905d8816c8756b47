-- Plays NodeMCU's modules net and tmr on top of LuaSocket, and runs a program: nodemcu_play.lua FILE
--
-- As its documentation has it: nothing waits, callbacks report the result of a call; a socket whose server
-- has closed, or is not there, calls "disconnection" with a code and is of no more use.
local socket = require "socket"

local later = {}  -- pending calls, with their times
local open = {}   -- sockets that are read from, with their connections

tmr = { ALARM_AUTO = 1 }

function tmr.create()
  return {
    alarm = function(_, ms, mode, callback)
      assert(mode == tmr.ALARM_AUTO)
      local function ring()
        table.insert(later, { at = socket.gettime() + ms / 1000, callback = ring })
        callback()
      end
      table.insert(later, { at = socket.gettime() + ms / 1000, callback = ring })
    end,
  }
end

net = { TCP = 1 }

local Connection = {}
Connection.__index = Connection

function net.createConnection(kind, secure)
  assert(kind == net.TCP and secure == 0)
  return setmetatable({ on_event = {} }, Connection)
end

function Connection:on(event, callback)
  self.on_event[event] = callback
end

function Connection:tell(event, ...)
  local arguments = { ... }
  table.insert(later, { at = 0, callback = function()
    if self.on_event[event] then self.on_event[event](self, unpack(arguments)) end
  end })
end

function Connection:connect(port, host)
  local real = socket.tcp()
  real:settimeout(10)
  if not real:connect(host, port) then
    real:close()
    return self:tell("disconnection", -11)
  end
  real:settimeout(0)
  self.real = real
  open[real] = self
  self:tell "connection"
end

function Connection:send(text)
  assert(self.real, "not connected")
  self.real:send(text)
end

function Connection:close()
  assert(self.real, "not connected")
  open[self.real] = nil
  self.real:close()
  self.real = nil
end

-- The received bytes of one read are one callback, as a segment is.
local function receive(real)
  local connection = open[real]
  local whole, why, part = real:receive(1460)
  local text = whole or part
  if text ~= "" then connection:tell("receive", text) end
  if why == "closed" then
    connection:close()
    connection:tell("disconnection", 0)
  end
end

io.stdout:setvbuf "line"
dofile(arg[1])
while true do
  table.sort(later, function(a, b) return a.at < b.at end)
  local pause = later[1] and math.max(0, later[1].at - socket.gettime())
  local sources = {}
  for real in pairs(open) do table.insert(sources, real) end
  local ready = socket.select(sources, nil, pause)
  for _, real in ipairs(ready) do receive(real) end
  if later[1] and later[1].at <= socket.gettime() then table.remove(later, 1).callback() end
end
