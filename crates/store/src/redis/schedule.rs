//! The schedule: the sorted set `voltgate:acl:schedule` of `<STATION_UUID>:<DRIVER_TOKEN>:<MOMENT>`. The score is the
//! moment at which the member is due. The entry's validity says what to do then, so a member without effect, or a
//! duplicate one, does no harm.

use async_trait::async_trait;
use common::ids::DriverToken;
use common::ids::StationId;

use super::RedisStore;
use super::access::parse_times;
use crate::schedule::LEASE;
use crate::{Change, Claim, Due, Millis, Schedule, Step, StoreError};

/// KEYS: the schedule. ARGV: now, the end of the lease, the limit.
const CLAIM: &str = r"
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[2], member) end
return due";

/// KEYS: the set, the times. ARGV: the token, now.
const SETTLE: &str = r"
local list, times, token, now = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
local held = redis.call('HGET', times, token)
if not held then return 0 end
local state, from, till = string.match(held, '^(%a):(%d+):(%d+)$')
if not state then return 0 end
if till ~= '0' and tonumber(till) <= now then
  redis.call('SREM', list, token)
  redis.call('HDEL', times, token)
elseif state == 'w' and tonumber(from) <= now then
  redis.call('SADD', list, token)
  if till == '0' then redis.call('HDEL', times, token)
  else redis.call('HSET', times, token, 'b:' .. from .. ':' .. till) end
end
return 1";

/// KEYS: the schedule. ARGV: the end of the lease, then the members. A member that was entered again since has another
/// score.
const FINISH: &str = r"
for i = 2, #ARGV do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[1]) then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return 1";

impl RedisStore {
    fn schedule(&self) -> String {
        self.key("voltgate:acl:schedule")
    }

    /// Enters the moments of the new entries. It runs before the entries are written, so that none is missed.
    pub(super) async fn enter(
        &self,
        changes: impl Iterator<Item = (StationId, &Change)>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut command = redis::cmd("ZADD");
        command.arg(self.schedule());
        let mut any = false;
        for (station, change) in changes {
            for moment in change.period().unwrap_or_default().moments_after(now) {
                command.arg(moment).arg(member(station, change.token(), moment));
                any = true;
            }
        }
        if any { self.command(&command).await } else { Ok(()) }
    }

    async fn steps(&self, due: &mut [Due], now: Millis) -> Result<(), StoreError> {
        if due.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for due in due.iter() {
            pipe.cmd("HGET").arg(self.times(due.station)).arg(due.token.expose());
        }
        let held: Vec<Option<String>> = self.pipeline(&pipe).await?;
        for (due, held) in due.iter_mut().zip(held) {
            let times = held.and_then(|held| parse_times(&held));
            due.step = times.and_then(|(waits, period)| Step::of(period, waits, now));
        }
        Ok(())
    }
}

#[async_trait]
impl Schedule for RedisStore {
    async fn claim(&self, now: Millis, limit: u32) -> Result<Claim, StoreError> {
        let mut script = redis::cmd("EVAL");
        script.arg(CLAIM).arg(1).arg(self.schedule()).arg(now).arg(lease_end(now)).arg(limit);
        let members: Vec<String> = self.command(&script).await?;
        let mut due = Vec::with_capacity(members.len());
        for text in members {
            match parse_member(&text) {
                Some(entry) => due.push(entry),
                None => self.command::<()>(redis::cmd("ZREM").arg(self.schedule()).arg(text)).await?,
            }
        }
        self.steps(&mut due, now).await?;
        Ok(Claim { due, now })
    }

    async fn settle(&self, claim: &Claim) -> Result<(), StoreError> {
        if claim.due.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for due in &claim.due {
            let script = pipe.cmd("EVAL").arg(SETTLE).arg(2);
            script.arg(self.allowlist(due.station)).arg(self.times(due.station));
            script.arg(due.token.expose()).arg(claim.now).ignore();
        }
        let () = self.pipeline(&pipe).await?;
        let mut script = redis::cmd("EVAL");
        script.arg(FINISH).arg(1).arg(self.schedule()).arg(lease_end(claim.now));
        for due in &claim.due {
            script.arg(member(due.station, &due.token, due.moment));
        }
        self.command(&script).await
    }
}

/// Moments of entries have no fraction, so the score of a claim is never mistaken for one.
fn lease_end(now: Millis) -> String {
    format!("{}.5", u128::from(now) + LEASE.as_millis())
}

fn member(station: StationId, token: &DriverToken, moment: Millis) -> String {
    format!("{station}:{}:{moment}", token.expose())
}

fn parse_member(text: &str) -> Option<Due> {
    let (entry, moment) = text.rsplit_once(':')?;
    let (station, token) = entry.split_once(':')?;
    Some(Due {
        station: station.parse().ok()?,
        token: DriverToken::parse(token).ok()?,
        moment: moment.parse().ok()?,
        step: None,
    })
}
