-- Tries all commands that the other scripts use, on keys of its own. The last fragment of:
--
--   clock, arguments, trial
--
-- Expects: channel (arguments).
--
-- The keys are gone afterwards. It returns the name of each refused command, and the error of Redis.

local key = KEYS[1]
local hash, set = key .. ':hash', key .. ':set'

-- The first is a write that takes memory: it shows if Redis refuses all writes, or only these.
local TRIALS = {
  {'SET', key, '1', 'PX', 1000},
  {'GET', key},
  {'STRLEN', key},
  {'PEXPIRE', key, 1000},
  {'HSET', hash, 'a', '1'},
  {'HGET', hash, 'a'},
  {'HMGET', hash, 'a'},
  {'HGETALL', hash},
  {'HKEYS', hash},
  {'HSCAN', hash, 0, 'COUNT', 1},
  {'HLEN', hash},
  {'HEXISTS', hash, 'a'},
  {'HDEL', hash, 'a'},
  {'ZADD', set, 0, 'a'},
  {'ZINCRBY', set, 1, 'a'},
  {'ZCARD', set},
  {'ZSCORE', set, 'a'},
  {'ZRANGE', set, 0, 0, 'WITHSCORES'},
  {'ZRANGEBYSCORE', set, '-inf', '+inf'},
  {'ZRANGEBYLEX', set, '-', '+'},
  {'ZREM', set, 'a'},
  {'UNLINK', key, hash, set},
  {'TIME'},
  {'PUBLISH', channel, ''},
}

local refused = {}
for _, command in ipairs(TRIALS) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err then
    refused[#refused + 1] = command[1]
    refused[#refused + 1] = reply.err
  end
end
return refused
