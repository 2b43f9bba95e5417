// What Redis does of a quota's calls, each atomic: Lua, in numbers that are exact to 2^53. Internal
// to gateway/.
//
// Keys, all with one prefix that holds a hash tag, so that a cluster keeps them on one node:
//   PREFIX c:COUNTER   hash: bucket -> amount; of a minute "m" BUCKET -> unix ms of what was
//                      taken last in it; "o" -> the reservation that may go beyond the limit
//   PREFIX r:ID        hash of a reservation: n; of limit i its counter k<i>, metric m<i>, window
//                      w<i>, limit l<i>, bucket b<i> and amount h<i> that can be given back; total
//                      t<metric> so far
//   PREFIX due         sorted set: reservation -> unix ms when it expires
// Every counter and reservation has a time to live. Windows are 0 minute, 1 day, 2 month; what a
// call has to know of them it is told: the present bucket and the first of the window, of each.
#pragma once

namespace weir::gateway {

// In front of each script. ARGV[1] prefix, [2] unix ms, [3..5] present buckets, [6..8] first ones,
// [9..13] amounts by metric.
inline constexpr const char* kQuotaLuaCommon = R"lua(
local prefix, now = ARGV[1], tonumber(ARGV[2])
local bucket, first, amount = {}, {}, {}
for w = 0, 2 do bucket[w], first[w] = tonumber(ARGV[3 + w]), tonumber(ARGV[6 + w]) end
for m = 0, 4 do amount[m] = tonumber(ARGV[9 + m]) end
local keep = {[0] = 240000, 259200000, 6048000000}
local slack = {[0] = 60, 1, 1}
local function text(n) return string.format('%.0f', n) end
local function used(key, w)
  local all, sum, slots, last = redis.call('HGETALL', key), 0, {}, {}
  for i = 1, #all, 2 do
    local of = tonumber(string.match(all[i], '^m(%d+)$'))
    if of and of < first[w] - slack[w] then
      redis.call('HDEL', key, all[i])
    elseif of then
      last[of] = tonumber(all[i + 1])
    end
  end
  for i = 1, #all, 2 do
    local slot = tonumber(all[i])
    if slot and slot >= first[w] then
      local n, at = tonumber(all[i + 1]), last[slot] or 1000 * (slot + 1)
      if w ~= 0 or at + 60000 > now then
        sum = sum + n
        slots[#slots + 1] = {slot, n, at}
      end
    elseif slot and slot < first[w] - slack[w] then
      redis.call('HDEL', key, all[i])
    end
  end
  return sum, slots
end
local function add(key, w, slot, n)
  if n == 0 then return end
  redis.call('HINCRBY', key, text(slot), text(n))
  local last = 'm' .. text(slot)
  if w == 0 and now > tonumber(redis.call('HGET', key, last) or '0') then
    redis.call('HSET', key, last, text(now))
  end
  redis.call('PEXPIRE', key, keep[w])
end
local function give_back(key, slot, n)
  local there = tonumber(redis.call('HGET', key, text(slot)) or '0')
  if there < n then n = there end
  if n > 0 then redis.call('HINCRBY', key, text(slot), text(-n)) end
end
local function record(id)
  local r, all = {}, redis.call('HGETALL', prefix .. 'r:' .. id)
  for i = 1, #all, 2 do r[all[i]] = all[i + 1] end
  return r
end
local function settle(id, r, actual)
  for i = 1, tonumber(r.n) do
    local key, m, w = r['k' .. i], tonumber(r['m' .. i]), tonumber(r['w' .. i])
    local over, held = actual[m] - tonumber(r['t' .. m]), tonumber(r['h' .. i])
    if over > 0 then
      add(key, w, bucket[w], over)
    else
      give_back(key, tonumber(r['b' .. i]), math.min(-over, held))
    end
    if redis.call('HGET', key, 'o') == id then redis.call('HDEL', key, 'o') end
  end
end
local function when(slots, over)
  table.sort(slots, function(a, b) return a[1] < b[1] end)
  for _, s in ipairs(slots) do
    over = over - s[2]
    if over <= 0 then return text(s[1]), text(s[3]) end
  end
  return '', ''
end
)lua";

// [14] id, [15] lifetime ms, [16] ms for which an expired one is remembered, [17] "1": expired ones
// are given back, [18] the number of limits, then of each: counter, metric, window, limit.
// {expired, 1, used...}, or {expired, 0, limit's place, used, wanted, bucket that has to leave or
// "", window, when was last taken in that bucket}; expired: how many reservations did.
inline constexpr const char* kQuotaLuaReserve = R"lua(
local id, life, remember, refunds = ARGV[14], tonumber(ARGV[15]), tonumber(ARGV[16]), ARGV[17]
local expired = 0
for _, old in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'due', '-inf', now, 'LIMIT', 0, 16)) do
  local r = record(old)
  redis.call('ZREM', prefix .. 'due', old)
  if r.n then
    expired = expired + 1
    if refunds == '1' then
      settle(old, r, {[0] = 0, 0, 0, 0, 0})
      for i = 1, tonumber(r.n) do redis.call('HSET', prefix .. 'r:' .. old, 'h' .. i, '0') end
      for m = 0, 4 do redis.call('HSET', prefix .. 'r:' .. old, 't' .. m, '0') end
    end
  end
end
local n, at, totals = tonumber(ARGV[18]), 19, {}
for i = 1, n do
  local key, m, w = prefix .. 'c:' .. ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local limit, sum, slots = tonumber(ARGV[at + 3]), used(key, w)
  if amount[m] > 0 and sum + amount[m] > limit then
    local slot, last = '', ''
    if amount[m] <= limit then slot, last = when(slots, sum + amount[m] - limit) end
    return {expired, 0, i, text(sum), text(amount[m]), slot, w, last}
  end
  at = at + 4
end
local key_r, out = prefix .. 'r:' .. id, {expired, 1}
local fields = {'n', tostring(n)}
for m = 0, 4 do fields[#fields + 1] = 't' .. m; fields[#fields + 1] = text(amount[m]) end
at = 19
for i = 1, n do
  local key, m, w = prefix .. 'c:' .. ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  add(key, w, bucket[w], amount[m])
  for name, value in pairs({k = key, m = ARGV[at + 1], w = ARGV[at + 2], l = ARGV[at + 3],
                            b = text(bucket[w]), h = text(amount[m])}) do
    fields[#fields + 1] = name .. i
    fields[#fields + 1] = value
  end
  at = at + 4
end
redis.call('HSET', key_r, unpack(fields))
redis.call('PEXPIRE', key_r, life + remember)
redis.call('ZADD', prefix .. 'due', text(now + life), id)
redis.call('PEXPIRE', prefix .. 'due', keep[2])
at = 19
for i = 1, n do
  out[#out + 1] = text((used(prefix .. 'c:' .. ARGV[at], tonumber(ARGV[at + 2]))))
  at = at + 4
end
return out
)lua";

// [14] id, [15] lifetime ms, [16] ms for which an expired one is remembered. As reserve; {0, 1} and
// nothing more where it is not known.
inline constexpr const char* kQuotaLuaExtend = R"lua(
local id, life, remember = ARGV[14], tonumber(ARGV[15]), tonumber(ARGV[16])
local r = record(id)
if not r.n then return {0, 1} end
local beyond = {}
for i = 1, tonumber(r.n) do
  local key, m, w = r['k' .. i], tonumber(r['m' .. i]), tonumber(r['w' .. i])
  local limit, sum, slots = tonumber(r['l' .. i]), used(key, w)
  if amount[m] > 0 and sum + amount[m] > limit then
    local holder = redis.call('HGET', key, 'o')
    if holder and holder ~= id and redis.call('EXISTS', prefix .. 'r:' .. holder) == 0 then
      holder = false
    end
    if holder ~= id and (holder or sum > limit) then
      local slot, last = '', ''
      if amount[m] <= limit then slot, last = when(slots, sum + amount[m] - limit) end
      return {0, 0, i, text(sum), text(amount[m]), slot, w, last}
    end
    beyond[i] = true
  end
end
local key_r, out = prefix .. 'r:' .. id, {0, 1}
for i = 1, tonumber(r.n) do
  local key, m, w = r['k' .. i], tonumber(r['m' .. i]), tonumber(r['w' .. i])
  if beyond[i] then redis.call('HSET', key, 'o', id) end
  local from, moved = tonumber(r['b' .. i]), 0
  if from >= first[w] and from <= bucket[w] then moved = tonumber(r['h' .. i]) end
  give_back(key, from, moved)
  add(key, w, bucket[w], moved + amount[m])
  redis.call('HSET', key_r, 'b' .. i, text(bucket[w]), 'h' .. i, text(moved + amount[m]))
  out[#out + 1] = text((used(key, w)))
end
for m = 0, 4 do redis.call('HSET', key_r, 't' .. m, text(tonumber(r['t' .. m]) + amount[m])) end
redis.call('PEXPIRE', key_r, life + remember)
redis.call('ZADD', prefix .. 'due', text(now + life), id)
return out
)lua";

// [14] id.
inline constexpr const char* kQuotaLuaSettle = R"lua(
local id = ARGV[14]
local r = record(id)
if not r.n then return 0 end
settle(id, r, amount)
redis.call('DEL', prefix .. 'r:' .. id)
redis.call('ZREM', prefix .. 'due', id)
return 1
)lua";

// [14] the number of counters, then of each: name, window. {used...}
inline constexpr const char* kQuotaLuaRead = R"lua(
local out, at = {}, 15
for i = 1, tonumber(ARGV[14]) do
  out[i] = text((used(prefix .. 'c:' .. ARGV[at], tonumber(ARGV[at + 1]))))
  at = at + 2
end
return out
)lua";

}  // namespace weir::gateway
