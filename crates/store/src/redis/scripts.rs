//! The scripts that every request runs. They are loaded once a connection rather than sent with each request: Redis
//! takes almost as long to hash [`ATTEMPTED`] as to run it (measured: 27 microseconds a request by `EVAL`, 15 by
//! `EVALSHA`).

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};

/// Writes the whole first decision or nothing of it. A later caller changes nothing and reads the first decision.
/// Returns the decision that holds, and 1 if this call wrote it. ARGV: the seconds that the record is kept, then names
/// and values, the decision's first.
const DECIDE: &str = r"
local held = redis.call('EXISTS', KEYS[1]) == 1
if held then
  for at = 2, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[at], ARGV[at + 1]) end
else
  redis.call('HSET', KEYS[1], unpack(ARGV, 2))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return held and {redis.call('HGET', KEYS[1], ARGV[2]), 0} or {ARGV[3], 1}";

/// [`crate::DeliveryState::after`] as a script, because it has to read and write atomically. ARGV: the attempt's number
/// and details, the state it reports, its outcome, and the seconds that the record is kept, even if it expired
/// meanwhile.
const ATTEMPTED: &str = r"
local record, details, told = KEYS[1], ARGV[2], ARGV[3]
local place = tonumber(ARGV[1])
local known = redis.call('HMGET', record, 'delivery', 'attempts', 'attempt:' .. place)
local held, count, there = known[1], tonumber(known[2] or 0), known[3]
local new = place > count
while there and there ~= details do
  place = place + 1
  there = redis.call('HGET', record, 'attempt:' .. place)
end
new = new or there == details
local made = {'attempt:' .. place, details, 'attempts', math.max(count, place)}
if held == 'delivered' or (held == 'undeliverable' and told == 'pending' and not new) then
  redis.call('HSET', record, unpack(made))
else
  redis.call('HSET', record, 'delivery', told, 'callback_status', ARGV[4], unpack(made))
  held = told
end
-- Right after the decision, which set it.
if place > 1 or not known[1] then redis.call('EXPIRE', record, ARGV[5]) end
return held";

/// Both scripts, by the hashes that `EVALSHA` takes.
pub(super) struct Scripts {
    decide: Script,
    attempted: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self { decide: Script::new(DECIDE), attempted: Script::new(ATTEMPTED) }
    }
}

impl Scripts {
    /// Loads the scripts on a new connection.
    pub(super) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        for script in [&self.decide, &self.attempted] {
            script.load_async(connection).await?;
        }
        Ok(())
    }

    pub(super) fn decide(&self) -> &str {
        self.decide.get_hash()
    }

    pub(super) fn attempted(&self) -> &str {
        self.attempted.get_hash()
    }
}
