-- The twin of rules.py and the rooms it uses: same fields, same bytes, same answers. One call, one key.
-- KEYS[1]  the subject's record
-- ARGV     operation, now ("" asks the server), lease, tokens, cost, then by operation:
--   reserve  min tokens, min cost, ttl, rules
--   renew    ttl, rules
--   settle   refund (0 or 1)
--   reset    rule name ("" is all)
-- Rules are one text, nine words each: field, limit, capacity, need, refundable, then
--   bucket: window, 0, 0; window: slot, 0, 0; calendar: start, end, end of the next period; and the seed.
local LEASE, SETTLED, SWEPT, BUSY, MERGE = 45000, 60000, 900000, 2000, 60000
local SLOTS, SETTLED_KEPT, REFUSALS_KEPT = 20, 16, 20
local RESET_TTL = 3456000000
local NEVER, UNKNOWN = -1, -1

local key, operation, lease_id = KEYS[1], ARGV[1], ARGV[3]
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local state, changed = {}, {}
local flat = redis.call('HGETALL', key)
for i = 1, #flat, 2 do state[flat[i]] = flat[i + 1] end

local function put(field, value)
  state[field] = value
  changed[field] = value or false
end

local function save()
  local sets, gone = {}, {}
  for field, value in pairs(changed) do
    if value then
      sets[#sets + 1] = field
      sets[#sets + 1] = value
    else
      gone[#gone + 1] = field
    end
  end
  if #sets > 0 then redis.call('HSET', key, unpack(sets)) end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  if #sets + #gone > 0 then redis.call('PEXPIRE', key, state['ttl'] or SWEPT) end
end

local function int(number) return string.format('%.0f', number) end

local function ceil(amount, by) return by == 0 and 0 or math.ceil(amount / by) end

local function pair(text)
  local first, second = string.match(text, '^(%d+) (%d+)')
  return tonumber(first), tonumber(second)
end

local function keep(ttl)
  put('ttl', int(math.max(tonumber(state['ttl'] or 0), ttl)))
end

local NUMBERS = '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)|(.*)$'

local function parse_lease(text)
  local expires, created, tokens, cost, floor_tokens, floor_cost, paid_tokens, paid_cost, rest = string.match(text, NUMBERS)
  local marks = {}
  for field, mark in string.gmatch(rest, '([^ =]+)=(%d+)') do marks[field] = tonumber(mark) end
  return {
    expires = tonumber(expires), created = tonumber(created), tokens = tonumber(tokens), cost = tonumber(cost),
    floor_tokens = tonumber(floor_tokens), floor_cost = tonumber(floor_cost),
    paid_tokens = tonumber(paid_tokens), paid_cost = tonumber(paid_cost), text = rest, marks = marks,
  }
end

local function dump_lease(lease)
  return string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f|%s', lease.expires, lease.created, lease.tokens, lease.cost,
    lease.floor_tokens, lease.floor_cost, lease.paid_tokens, lease.paid_cost, lease.text)
end

local function held_by(lease, unit) return unit == 't' and lease.tokens or lease.cost end

local function due(lease, unit, tokens, cost)
  if unit == 't' then return math.max(0, tokens - lease.paid_tokens) end
  return math.max(0, cost - lease.paid_cost)
end

local function parse_slots(text)
  local slots = {}
  for slot, count in string.gmatch(text, '(%d+):(%d+)') do slots[tonumber(slot)] = tonumber(count) end
  return tonumber(string.match(text, '^%d+')), slots
end

local function sorted(slots)
  local order = {}
  for slot in pairs(slots) do order[#order + 1] = slot end
  table.sort(order)
  return order
end

local function dump_slots(length, slots)
  local parts = {int(length)}
  for _, slot in ipairs(sorted(slots)) do
    if slots[slot] ~= 0 then parts[#parts + 1] = int(slot) .. ':' .. int(slots[slot]) end
  end
  return table.concat(parts, ' ')
end

local function was_reset(rule, start)
  return math.max(tonumber(state['z:'] or -1), tonumber(state['z:' .. rule] or -1)) >= start
end

local function add(field, mark, amount, at)
  local text = state[field]
  if string.sub(field, 1, 1) == 'c' then
    local start, count = mark, 0
    if text then start, count = pair(text) end
    if start <= mark and (text or was_reset(string.sub(field, 4), mark)) then
      put(field, int(mark) .. ' ' .. int(amount + (start == mark and count or 0)))
    end
  elseif text and amount ~= 0 then
    local length, slots = parse_slots(text)
    local slot = math.floor(at / length)
    slots[slot] = (slots[slot] or 0) + amount
    put(field, dump_slots(length, slots))
  end
end

local function refund(field, mark)
  local text, kind = state[field], string.sub(field, 1, 1)
  if not text then return end
  if kind == 'b' then
    local window, debt, at = string.match(text, '^(%d+) (%d+) (%d+)$')
    put(field, window .. ' ' .. int(math.max(0, tonumber(debt) - tonumber(window))) .. ' ' .. at)
  elseif kind == 'c' then
    local start, count = pair(text)
    if start == mark then put(field, int(start) .. ' ' .. int(math.max(0, count - 1))) end
  else
    local length, slots = parse_slots(text)
    if (slots[mark] or 0) > 0 then
      slots[mark] = slots[mark] - 1
      put(field, dump_slots(length, slots))
    end
  end
end

local function expire(name, lease)
  put(name, nil)
  if string.sub(name, 1, 1) == 's' then return end
  for field, mark in pairs(lease.marks) do
    local unit = string.sub(field, 2, 2)
    if unit ~= 'r' then add(field, mark, due(lease, unit, lease.floor_tokens, lease.floor_cost), lease.expires) end
  end
  lease.expires, lease.paid_tokens, lease.paid_cost = now + SWEPT, lease.floor_tokens, lease.floor_cost
  put('s:' .. string.sub(name, 3), dump_lease(lease))
end

local function pull_back(field)
  if string.sub(field, 1, 1) == 'b' then
    local window, debt, at = string.match(state[field], '^(%d+) (%d+) (%d+)$')
    if tonumber(at) > now then put(field, window .. ' ' .. debt .. ' ' .. int(now)) end
    return
  end
  local newest = tonumber(string.match(state[field], '(%d+):%d+$'))
  local length = tonumber(string.match(state[field], '^%d+'))
  local current = math.floor(now / length)
  if not newest or newest <= current then return end
  local _, slots = parse_slots(state[field])
  local early = {}
  for slot, count in pairs(slots) do
    slot = math.min(slot, current)
    early[slot] = (early[slot] or 0) + count
  end
  put(field, dump_slots(length, early))
end

local function sweep()
  local names, counters, leases = {}, {}, {}
  for name in pairs(state) do
    local kind = string.sub(name, 1, 2)
    if kind == 'l:' or kind == 's:' then
      names[#names + 1] = name
    elseif string.find(kind, '^[bw]') then
      counters[#counters + 1] = name
    end
  end
  for _, field in ipairs(counters) do pull_back(field) end
  table.sort(names)
  for _, name in ipairs(names) do
    local live = string.sub(name, 1, 1) == 'l'
    local lease, longest = parse_lease(state[name]), now + (live and LEASE or SWEPT)
    if lease.expires > longest then
      lease.expires = longest
      put(name, dump_lease(lease))
    end
    if lease.expires <= now then
      expire(name, lease)
    elseif live then
      leases[string.sub(name, 3)] = lease
    end
  end
  return leases
end

local leases = sweep()

local function settled()
  local recent = {}
  for entry in string.gmatch(state['d'] or '', '[^ ]+') do
    local expires = tonumber(string.match(entry, '^%d+'))
    if expires > now and expires <= now + SETTLED then recent[#recent + 1] = entry end
  end
  return recent
end

local function id_of(entry) return string.match(entry, '^%d+:(.*)$') end

if operation == 'settle' then
  local tokens, cost, lease = tonumber(ARGV[4]), tonumber(ARGV[5]), leases[lease_id]
  if not lease and state['s:' .. lease_id] then lease = parse_lease(state['s:' .. lease_id]) end
  if not lease then
    save()
    return 0
  end
  for field, mark in pairs(lease.marks) do
    local unit = string.sub(field, 2, 2)
    if unit ~= 'r' then
      add(field, mark, due(lease, unit, tokens, cost), now)
    elseif ARGV[6] == '1' then
      refund(field, mark)
    end
  end
  put('l:' .. lease_id, nil)
  put('s:' .. lease_id, nil)
  local recent = {}
  for _, entry in ipairs(settled()) do
    if id_of(entry) ~= lease_id then recent[#recent + 1] = entry end
  end
  recent[#recent + 1] = int(now + SETTLED) .. ':' .. lease_id
  put('d', table.concat(recent, ' ', math.max(1, #recent - SETTLED_KEPT + 1)))
  save()
  return 1
end

local function next_end(holders)
  local soonest = BUSY
  for _, lease in pairs(holders) do soonest = math.min(soonest, lease.expires - now) end
  return soonest
end

local function present(rule)
  if now < rule.b then return rule.a, rule.b end
  return rule.b, rule.c
end

local function calendar(rule)
  local first, last = present(rule)
  local text = state[rule.field]
  if not text then return first, last, was_reset(rule.name, first) and 0 or math.max(0, rule.seed) end
  local stored, count = pair(text)
  if stored < first then return first, last, 0 end
  if stored > first and stored <= last then
    return stored, stored == rule.b and rule.c or stored + last - first, count
  end
  return first, last, count
end

local function fits(rule, total) return rule.limit > 0 and total <= rule.capacity end

local function wait_of(rule, need, later)
  if rule.limit == 0 or need > rule.capacity then return NEVER end
  return math.max(1, later)
end

local function holders_of(rule, mark)
  local holders, held = {}, 0
  if rule.unit == 'r' then return holders, held end
  for _, lease in pairs(leases) do
    local own = lease.marks[rule.field]
    if own and (not mark or own == mark) then
      holders[#holders + 1] = lease
      held = held + held_by(lease, rule.unit)
    end
  end
  return holders, held
end

local read = {}

function read.b(rule, need)
  local window, full = rule.a, rule.capacity * rule.a
  local debt, at = 0, now
  local text = state[rule.field]
  if text then
    local length, stored, since = string.match(text, '^(%d+) (%d+) (%d+)$')
    debt, at = tonumber(length) == window and tonumber(stored) or 0, tonumber(since)
  end
  if now > at then debt = debt - (now - at) * rule.limit end
  debt = math.max(0, math.min(debt, full))
  local over, wait = debt + need * window - full, 0
  if over > 0 or rule.limit == 0 then wait = wait_of(rule, need, ceil(over, rule.limit)) end
  local value = int(window) .. ' ' .. int(debt + window) .. ' ' .. int(now)
  return {ceil(debt, window), 0, wait, ceil(debt, rule.limit)}, rule.refundable and 0 or nil, value
end

local function slot_free(slots, over, length, current)
  for _, slot in ipairs(sorted(slots)) do
    over = over - slots[slot]
    if over <= 0 then return (slot + SLOTS + 1) * length end
  end
  return (current + SLOTS + 1) * length
end

function read.w(rule, need)
  local length, current = rule.a, math.floor(now / rule.a)
  local slots, used, newest = {}, 0, 0
  if state[rule.field] then
    local stored_length, stored = parse_slots(state[rule.field])
    if stored_length == length then
      for slot, count in pairs(stored) do
        if slot >= current - SLOTS then
          slots[slot] = count
          used = used + count
          newest = math.max(newest, slot)
        end
      end
    end
  end
  local holders, held = holders_of(rule)
  local wait = 0
  if not fits(rule, used + held + need) then
    local over = used + need - rule.capacity
    wait = wait_of(rule, need, over <= 0 and next_end(holders) or slot_free(slots, over, length, current) - now)
  end
  local standing = {used, held, wait, used > 0 and (newest + SLOTS + 1) * length - now or 0}
  if rule.unit ~= 'r' then return standing, 0, dump_slots(length, slots) end
  slots[current] = (slots[current] or 0) + 1
  return standing, rule.refundable and current or nil, dump_slots(length, slots)
end

function read.c(rule, need)
  local first, last, used = calendar(rule)
  local holders, held = holders_of(rule, first)
  local wait = 0
  if not fits(rule, used + held + need) then
    wait = wait_of(rule, need, used + need <= rule.capacity and next_end(holders) or last - now)
  end
  local counted = rule.unit == 'r' and 1 or 0
  local mark = first
  if counted == 1 and not rule.refundable then mark = nil end
  return {used, held, wait, last - now}, mark, int(first) .. ' ' .. int(used + counted)
end

function read.a(rule, need)
  local running = 0
  for _ in pairs(leases) do running = running + 1 end
  local wait = fits(rule, running + need) and 0 or wait_of(rule, need, next_end(leases))
  return {running, 0, wait, 0}, nil, nil
end

local WORDS = '([^ ]+) (%d+) (%d+) (%d+) (%d) (%d+) (%d+) (%d+) (%-?%d+)'

local function rules_from(text)
  local rules = {}
  for field, limit, capacity, need, refundable, a, b, c, seed in string.gmatch(text, WORDS) do
    rules[#rules + 1] = {
      field = field, kind = string.sub(field, 1, 1), unit = string.sub(field, 2, 2), name = string.sub(field, 4),
      limit = tonumber(limit), capacity = tonumber(capacity), need = tonumber(need), refundable = refundable == '1',
      a = tonumber(a), b = tonumber(b), c = tonumber(c), seed = tonumber(seed),
    }
  end
  return rules
end

local function log_refusal(refused)
  local waits, names = {}, {}
  for i, each in ipairs(refused) do
    names[i] = each.name
    waits[i] = each.name .. '=' .. int(each.wait)
  end
  local entries = {}
  for entry in string.gmatch(state['x'] or '', '[^;]+') do entries[#entries + 1] = entry end
  local first, times = int(now), 1
  if #entries > 0 then
    local began, last, count, before = string.match(entries[#entries], '^(%d+),(%d+),(%d+),(.*)$')
    local age = now - tonumber(last)
    if string.gsub(before, '=[^+]*', '') == table.concat(names, '+') and age >= 0 and age <= MERGE then
      first, times = began, tonumber(count) + 1
      entries[#entries] = nil
    end
  end
  entries[#entries + 1] = table.concat({first, int(now), int(times), table.concat(waits, '+')}, ',')
  put('x', table.concat(entries, ';', math.max(1, #entries - REFUSALS_KEPT + 1)))
end

local function fit(rules, standings, tokens, cost, min_tokens)
  local wanted, most = tokens, cost
  for i, rule in ipairs(rules) do
    local left = rule.capacity - standings[i][1] - standings[i][2]
    if rule.unit == 't' then
      tokens = math.min(tokens, left)
    elseif rule.unit == 'c' and left < cost then
      most = math.min(most, left)
      tokens = math.min(tokens, math.max(math.floor(left * wanted / cost), min_tokens))
    end
  end
  if tokens == wanted then return tokens, most end
  return tokens, math.min(most, math.ceil(cost * tokens / wanted))
end

local function book(rule, standing, tokens, cost)
  if rule.unit == 't' then
    standing[2] = standing[2] + tokens
  elseif rule.unit == 'c' then
    standing[2] = standing[2] + cost
  else
    standing[1] = standing[1] + 1
    if rule.kind == 'b' then
      standing[4] = standing[4] + ceil(rule.a, rule.limit)
    elseif rule.kind == 'w' then
      standing[4] = (math.floor(now / rule.a) + SLOTS + 1) * rule.a - now
    end
  end
end

local function answer(status, tokens, cost, standings)
  local reply = {status, now, tokens, cost}
  for _, standing in ipairs(standings) do
    for i = 1, 4 do reply[#reply + 1] = standing[i] end
  end
  return reply
end

if operation == 'reserve' then
  local tokens, cost, min_tokens, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
  local rules, cold = rules_from(ARGV[8]), {3, now}
  for i, rule in ipairs(rules) do
    if rule.kind == 'c' and not state[rule.field] and rule.seed == UNKNOWN and not was_reset(rule.name, (present(rule))) then
      cold[#cold + 1] = i - 1
    end
  end
  if #cold > 2 then return cold end
  for _, rule in ipairs(rules) do
    if rule.kind == 'c' and state[rule.field] then
      local first, last = present(rule)
      local stored, count = pair(state[rule.field])
      if stored > last then put(rule.field, int(first) .. ' ' .. int(count)) end
    end
  end
  local standings, marks, values, refused = {}, {}, {}, {}
  for i, rule in ipairs(rules) do
    standings[i], marks[i], values[i] = read[rule.kind](rule, rule.need)
    if standings[i][3] ~= 0 then refused[#refused + 1] = {name = rule.name, wait = standings[i][3]} end
  end
  local live = leases[lease_id]
  if live then
    save()
    return answer(2, live.tokens, live.cost, standings)
  end
  if #refused > 0 then
    log_refusal(refused)
    keep(ttl)
    save()
    return answer(0, 0, 0, standings)
  end
  tokens, cost = fit(rules, standings, tokens, cost, min_tokens)
  local text = {}
  for i, rule in ipairs(rules) do
    if values[i] then put(rule.field, values[i]) end
    if marks[i] then text[#text + 1] = rule.field .. '=' .. int(marks[i]) end
  end
  local lease = string.format('%.0f %.0f %.0f %.0f 0 0 0 0|%s', now + LEASE, now, tokens, cost, table.concat(text, ' '))
  put('l:' .. lease_id, lease)
  put('s:' .. lease_id, nil)
  keep(ttl)
  for i, rule in ipairs(rules) do book(rule, standings[i], tokens, cost) end
  save()
  return answer(1, tokens, cost, standings)
end

if operation == 'renew' then
  local tokens, cost, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
  for _, entry in ipairs(settled()) do
    if id_of(entry) == lease_id then
      save()
      return 0
    end
  end
  local lease = leases[lease_id]
  if not lease and state['s:' .. lease_id] then
    lease = parse_lease(state['s:' .. lease_id])
    put('s:' .. lease_id, nil)
  end
  if not lease then
    local text = {}
    for _, rule in ipairs(rules_from(ARGV[7])) do
      if rule.unit == 't' or rule.unit == 'c' then
        local mark = 0
        if rule.kind == 'c' then
          mark = calendar(rule)
        elseif not state[rule.field] then
          put(rule.field, int(rule.a))
        end
        text[#text + 1] = rule.field .. '=' .. int(mark)
      end
    end
    lease = {created = now, tokens = 0, cost = 0, floor_tokens = 0, floor_cost = 0, paid_tokens = 0, paid_cost = 0,
      text = table.concat(text, ' ')}
    keep(ttl)
  end
  lease.expires = now + LEASE
  lease.tokens, lease.cost = math.max(lease.tokens, tokens), math.max(lease.cost, cost)
  lease.floor_tokens, lease.floor_cost = math.max(lease.floor_tokens, tokens), math.max(lease.floor_cost, cost)
  put('l:' .. lease_id, dump_lease(lease))
  save()
  return 1
end

if operation == 'reset' then
  local name = ARGV[6]
  changed = {}
  for field in pairs(state) do
    if string.find('bwcz', string.sub(field, 1, 1), 1, true) and (name == '' or string.match(field, ':(.*)$') == name) then
      changed[field] = false
    end
  end
  changed['z:' .. name] = int(now)
  changed['ttl'] = state['ttl'] or int(RESET_TTL)
  state['ttl'] = changed['ttl']
  save()
  return 1
end

return redis.error_reply('unknown operation')
