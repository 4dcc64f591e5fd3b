//! Access lists: the set `station:<STATION_UUID>:allowlist` of driver tokens, and a hash of the validity periods of
//! those entries that have one. The hash tag in its key keeps both in one slot, so they change together.

use async_trait::async_trait;
use common::clock;
use common::ids::{DriverToken, StationId};
use redis::{Pipeline, Value};
use uuid::Uuid;

use super::public_access::PublicAnswers;
use super::{RedisStore, unavailable};
use crate::{
    AccessLists, Change, Changed, Entry, Grounds, Listing, Millis, Page, PageQuery, Period, StoreError,
};

/// The work limit of one search call: the number of SSCANs, and the members of each.
const SEARCH_SCANS: u32 = 5;
const SEARCH_COUNT: u32 = 2000;

const PROBE_TOKEN: &str = "voltgate-readiness-probe";

/// KEYS: the set, the times. ARGV: now, then for each change `admit`, `absent` or `remove`, the token, from, until. The
/// validity is stored as `w:FROM:UNTIL` while the entry has yet to begin, and as `b:FROM:UNTIL` afterwards; 0 means
/// unbounded.
const CHANGE: &str = r"
local list, times, now, changed = KEYS[1], KEYS[2], tonumber(ARGV[1]), 0
local any = redis.call('EXISTS', times) == 1
for i = 2, #ARGV, 4 do
  local how, token, from, till = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local listed = redis.call('SISMEMBER', list, token) == 1
  local held = any and redis.call('HGET', times, token)
  local ends = held and tonumber(string.match(held, ':(%d+)$')) or 0
  local over = ends > 0 and ends <= now
  local there = (listed or held) and not over
  if how == 'remove' then
    redis.call('SREM', list, token)
    if held then redis.call('HDEL', times, token) end
    if there then changed = changed + 1 end
  elseif how == 'admit' or not there then
    local waits = tonumber(from) > now
    local kept = false
    if waits then kept = 'w:' .. from .. ':' .. till
    elseif till ~= '0' then kept = 'b:' .. from .. ':' .. till end
    redis.call(waits and 'SREM' or 'SADD', list, token)
    if kept then
      redis.call('HSET', times, token, kept)
      any = true
    elseif held then
      redis.call('HDEL', times, token)
    end
    if listed == waits or held ~= kept then changed = changed + 1 end
  end
end
return {changed, redis.call('SCARD', list)}";

impl RedisStore {
    pub(super) fn allowlist(&self, station: StationId) -> String {
        self.key(format_args!("station:{station}:allowlist"))
    }

    /// The same slot as the set: Redis Cluster hashes the text between the braces.
    pub(super) fn times(&self, station: StationId) -> String {
        self.key(format_args!("voltgate:acl:times:{{{}}}", self.allowlist(station)))
    }

    fn change_script(&self, station: StationId, changes: &[&Change], now: Millis) -> redis::Cmd {
        let mut script = redis::cmd("EVAL");
        script.arg(CHANGE).arg(2).arg(self.allowlist(station)).arg(self.times(station)).arg(now);
        for change in changes {
            let how = match change {
                Change::Admit(_) => "admit",
                Change::AdmitIfAbsent(_) => "absent",
                Change::Remove(_) => "remove",
            };
            let period = change.period().unwrap_or_default();
            script.arg(how).arg(change.token().expose());
            script.arg(period.from().unwrap_or(0)).arg(period.until().unwrap_or(0));
        }
        script
    }

    /// Adds an entry to a list that belongs to no station, and removes it again: no reader sees it. Then it checks the
    /// driver, as a user of Redis may lack the right to one of the commands.
    pub(super) async fn probe_access_lists(&self) -> Result<(), StoreError> {
        let station = StationId::from_uuid(Uuid::nil());
        let token = DriverToken::parse(PROBE_TOKEN).map_err(unavailable)?;
        let now = now_ms();
        let until = Some(now.saturating_add(60_000));
        let period = Period::new(None, until).map_err(unavailable)?;
        let admit = Change::Admit(Entry { token: token.clone(), period });
        let there_and_gone = [admit, Change::Remove(token.clone())];
        let script = self.change_script(station, &there_and_gone.each_ref(), now);
        self.command::<Value>(&script).await?;
        self.check_many(&[(station, token)]).await.map(drop)
    }

    /// Whether these drivers are in the sets, and the validity of their entries, in one round trip. A check afterwards
    /// proves that the server is the primary.
    async fn held(
        &self,
        pairs: &[(StationId, DriverToken)],
    ) -> Result<Vec<(bool, Option<Period>)>, StoreError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        self.ask_held(&mut pipe, pairs);
        held(&self.proven(pipe).await?)
    }

    /// Adds the reads whose answers [`held`] takes.
    fn ask_held(&self, pipe: &mut Pipeline, pairs: &[(StationId, DriverToken)]) {
        for (station, token) in pairs {
            pipe.cmd("SISMEMBER").arg(self.allowlist(*station)).arg(token.expose());
            pipe.cmd("HGET").arg(self.times(*station)).arg(token.expose());
        }
    }

    /// The validity of these drivers' entries, in their order.
    async fn times_of(
        &self,
        station: StationId,
        tokens: &[DriverToken],
    ) -> Result<Vec<Option<Period>>, StoreError> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.times(station)).arg(tokens.iter().map(DriverToken::expose).collect::<Vec<_>>());
        let held: Vec<Option<String>> = self.command(&command).await?;
        Ok(held.iter().map(|held| Some(parse_times(held.as_deref()?)?.1)).collect())
    }
}

#[async_trait]
impl AccessLists for RedisStore {
    async fn check(&self, station: StationId, token: &DriverToken) -> Result<Option<Grounds>, StoreError> {
        let grounds = self.check_many(&[(station, token.clone())]).await?;
        Ok(grounds.first().copied().flatten())
    }

    /// One round trip for lists and sets.
    async fn check_many(
        &self,
        pairs: &[(StationId, DriverToken)],
    ) -> Result<Vec<Option<Grounds>>, StoreError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        self.ask_held(&mut pipe, pairs);
        self.ask_public(&mut pipe, pairs);
        let mut answers = self.proven(pipe).await?;
        let public = PublicAnswers::of(&mut answers)?;
        let (held, now) = (held(&answers)?, now_ms());
        let grounds = |(pair, (listed, times)): (usize, &(bool, Option<Period>))| {
            // The scheduler may be late in removing the driver from the set.
            if *listed && !times.is_some_and(|times| times.is_over(now)) {
                Some(Grounds::List)
            } else {
                public.admits(pair, now).then_some(Grounds::Public)
            }
        };
        Ok(held.iter().enumerate().map(grounds).collect())
    }

    async fn has_entries(&self, pairs: &[(StationId, DriverToken)]) -> Result<Vec<bool>, StoreError> {
        let (held, now) = (self.held(pairs).await?, now_ms());
        Ok(held.iter().map(|(listed, times)| times.map_or(*listed, |times| !times.is_over(now))).collect())
    }

    async fn change(&self, station: StationId, changes: &[Change]) -> Result<Changed, StoreError> {
        let now = now_ms();
        self.enter(changes.iter().map(|change| (station, change)), now).await?;
        let changes: Vec<&Change> = changes.iter().collect();
        let (changed, size) = self.command(&self.change_script(station, &changes, now)).await?;
        Ok(Changed { changed, size })
    }

    async fn change_each(&self, changes: &[(StationId, Change)]) -> Result<u64, StoreError> {
        if changes.is_empty() {
            return Ok(0);
        }
        let now = now_ms();
        self.enter(changes.iter().map(|(station, change)| (*station, change)), now).await?;
        let mut by_station = std::collections::BTreeMap::<String, (StationId, Vec<&Change>)>::new();
        for (station, change) in changes {
            let list = by_station.entry(station.to_string()).or_insert((*station, Vec::new()));
            list.1.push(change);
        }
        let mut pipe = redis::pipe();
        for (station, changes) in by_station.values() {
            pipe.add_command(self.change_script(*station, changes, now));
        }
        let done: Vec<(u64, u64)> = self.pipeline(&pipe).await?;
        Ok(done.iter().map(|(changed, _)| changed).sum())
    }

    async fn page(&self, station: StationId, query: &PageQuery<'_>) -> Result<Page, StoreError> {
        let key = self.allowlist(station);
        let mut cursor = scan_cursor(query.cursor)?;
        let (scans, count) =
            if query.search.is_some() { (SEARCH_SCANS, SEARCH_COUNT) } else { (1, query.limit) };
        let (mut tokens, mut size) = (Vec::new(), 0);
        for _ in 0..scans {
            let mut pipe = redis::pipe();
            let scan = pipe.cmd("SSCAN").arg(&key).arg(cursor).arg("COUNT").arg(count);
            if let Some(part) = query.search {
                scan.arg("MATCH").arg(format!("*{part}*"));
            }
            pipe.cmd("SCARD").arg(&key);
            let ((next, members), card): ((u64, Vec<String>), u64) = self.pipeline(&pipe).await?;
            (cursor, size) = (next, card);
            // Another program may have added anything to the set. A member that is not a token admits no driver and is
            // not listed.
            tokens.extend(members.iter().filter_map(|member| DriverToken::parse(member).ok()));
            if cursor == 0 || tokens.len() >= query.limit as usize {
                break;
            }
        }
        let (times, now) = (self.times_of(station, &tokens).await?, now_ms());
        let entries = tokens.into_iter().zip(times);
        let entries = entries
            .map(|(token, times)| Entry { token, period: times.unwrap_or_default() })
            .filter(|entry| !entry.period.is_over(now))
            .collect();
        Ok(Page { entries, size, next: (cursor != 0).then(|| cursor.to_string()) })
    }

    async fn timed(&self, station: StationId, query: &PageQuery<'_>) -> Result<Listing<Entry>, StoreError> {
        let mut command = redis::cmd("HSCAN");
        command.arg(self.times(station)).arg(scan_cursor(query.cursor)?).arg("COUNT").arg(query.limit);
        let (next, held): (u64, Vec<(String, String)>) = self.command(&command).await?;
        let now = now_ms();
        let entry = |(token, times): &(String, String)| {
            let entry = Entry { token: DriverToken::parse(token).ok()?, period: parse_times(times)?.1 };
            (!entry.period.is_over(now)).then_some(entry)
        };
        let items = held.iter().filter_map(entry).collect();
        Ok(Listing { items, next: (next != 0).then(|| next.to_string()) })
    }
}

/// The answers to `SISMEMBER` and `HGET` for each pair.
fn held(answers: &[Value]) -> Result<Vec<(bool, Option<Period>)>, StoreError> {
    let held = |pair: &[Value]| {
        let listed: bool = redis::from_redis_value_ref(&pair[0]).map_err(unavailable)?;
        let times: Option<String> = redis::from_redis_value_ref(&pair[1]).map_err(unavailable)?;
        Ok((listed, times.and_then(|times| Some(parse_times(&times)?.1))))
    };
    answers.chunks_exact(2).map(held).collect()
}

/// The cursor of SSCAN and HSCAN.
pub(super) fn scan_cursor(cursor: Option<&str>) -> Result<u64, StoreError> {
    cursor.unwrap_or("0").parse().map_err(|_| StoreError::BadCursor)
}

/// Whether the entry has yet to begin, and its validity; `None` if another program wrote the value.
pub(super) fn parse_times(text: &str) -> Option<(bool, Period)> {
    let (state, times) = text.split_once(':')?;
    Some((state == "w", Period::from_text(times)?))
}

pub(super) fn now_ms() -> Millis {
    clock::now() / 1_000_000
}
