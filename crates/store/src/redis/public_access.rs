//! Public stations are the sorted set `voltgate:{platform}:public`. Members are the hash `voltgate:{platform}:members`, with
//! the end of the membership (0 for none) as the value; `…:order` has their tokens sorted, and `…:ends` those that end, by
//! their end. The version is `…:version`. The scores of what is read in order are all 0. The hash tag keeps all in one slot.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};
use redis::{Pipeline, Value};

use super::access::now_ms;
use super::{RedisStore, unavailable};
use crate::{Listing, Member, Millis, PageQuery, PlatformVersion, PublicAccess, SetChanged, StoreError};

/// KEYS: the members, their order, the ends. ARGV: now, the number of members to add, the token and the end of each, then
/// the tokens to remove. It also clears away members whose end has passed, more of them than it adds, so that they do not
/// pile up.
const CHANGE_MEMBERS: &str = r"
local members, order, ends = KEYS[1], KEYS[2], KEYS[3]
local now, added, removed = tonumber(ARGV[1]), 0, 0
local function drop(token)
  local till = redis.call('HGET', members, token)
  if not till then return 0 end
  redis.call('HDEL', members, token)
  redis.call('ZREM', order, token)
  redis.call('ZREM', ends, token)
  return (till == '0' or tonumber(till) > now) and 1 or 0
end
for _, token in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, #ARGV)) do drop(token) end
local last = 2 + 2 * tonumber(ARGV[2])
for at = 3, last, 2 do
  local token, till = ARGV[at], ARGV[at + 1]
  if till ~= '0' and tonumber(till) <= now then
    removed = removed + drop(token)
  elseif redis.call('HGET', members, token) ~= till then
    redis.call('HSET', members, token, till)
    redis.call('ZADD', order, 0, token)
    if till == '0' then redis.call('ZREM', ends, token) else redis.call('ZADD', ends, till, token) end
    added = added + 1
  end
end
for at = last + 1, #ARGV do removed = removed + drop(ARGV[at]) end
return {added, removed}";

impl RedisStore {
    fn public_stations(&self) -> String {
        self.key("voltgate:{platform}:public")
    }

    fn platform_members(&self) -> String {
        self.key("voltgate:{platform}:members")
    }

    fn order_of_members(&self) -> String {
        self.key("voltgate:{platform}:order")
    }

    fn ends_of_members(&self) -> String {
        self.key("voltgate:{platform}:ends")
    }

    fn platform_version(&self) -> String {
        self.key("voltgate:{platform}:version")
    }

    /// Adds the reads that [`PublicAnswers::of`] takes. They are two for any number of pairs: most stations are not public,
    /// and their checks should not take longer.
    pub(super) fn ask_public(&self, pipe: &mut Pipeline, pairs: &[(StationId, DriverToken)]) {
        let public = pipe.cmd("ZMSCORE").arg(self.public_stations());
        for (station, _) in pairs {
            public.arg(station.to_string());
        }
        let members = pipe.cmd("HMGET").arg(self.platform_members());
        for (_, token) in pairs {
            members.arg(token.expose());
        }
    }

    /// The members among these tokens, in their order.
    async fn members_of(&self, tokens: Vec<DriverToken>) -> Result<Vec<Member>, StoreError> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.platform_members()).arg(tokens.iter().map(DriverToken::expose).collect::<Vec<_>>());
        let (ends, now): (Vec<Option<Millis>>, _) = (self.command(&command).await?, now_ms());
        let members = tokens.into_iter().zip(ends).filter_map(|(token, end)| Some(member(token, end?)));
        Ok(members.filter(|member| !member.is_over(now)).collect())
    }

    /// A page of a set whose scores are all 0.
    async fn in_order(&self, key: String, query: &PageQuery<'_>) -> Result<Vec<String>, StoreError> {
        let after = query.cursor.map_or_else(|| "-".to_owned(), |cursor| format!("({cursor}"));
        let mut command = redis::cmd("ZRANGEBYLEX");
        command.arg(key).arg(after).arg("+").arg("LIMIT").arg(0).arg(query.limit);
        self.command(&command).await
    }
}

/// Whether a member asks at a public station, for each pair of a check.
pub(super) struct PublicAnswers {
    public: Vec<Option<f64>>,
    ends: Vec<Option<Millis>>,
}

impl PublicAnswers {
    /// Takes the last answers of a pipeline: those to [`RedisStore::ask_public`].
    pub(super) fn of(answers: &mut Vec<Value>) -> Result<Self, StoreError> {
        let mut last = || answers.pop().unwrap_or(Value::Nil);
        let (ends, public) = (last(), last());
        Ok(Self {
            public: redis::from_redis_value(public).map_err(unavailable)?,
            ends: redis::from_redis_value(ends).map_err(unavailable)?,
        })
    }

    pub(super) fn admits(&self, pair: usize, now: Millis) -> bool {
        let public = self.public.get(pair).is_some_and(Option::is_some);
        let end = self.ends.get(pair).copied().flatten();
        public && end.is_some_and(|end| end == 0 || end > now)
    }
}

#[async_trait]
impl PublicAccess for RedisStore {
    async fn is_public(&self, station: StationId) -> Result<bool, StoreError> {
        let mut command = redis::cmd("ZSCORE");
        command.arg(self.public_stations()).arg(station.to_string());
        Ok(self.command::<Option<f64>>(&command).await?.is_some())
    }

    async fn change_stations(
        &self,
        add: &[StationId],
        remove: &[StationId],
    ) -> Result<SetChanged, StoreError> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        if !add.is_empty() {
            let command = pipe.cmd("ZADD").arg(self.public_stations());
            for station in add {
                command.arg(0).arg(station.to_string());
            }
        }
        if !remove.is_empty() {
            let command = pipe.cmd("ZREM").arg(self.public_stations());
            for station in remove {
                command.arg(station.to_string());
            }
        }
        let counts: Vec<u64> = match (add, remove) {
            ([], []) => Vec::new(),
            _ => self.pipeline(&pipe).await?,
        };
        let mut counts = counts.into_iter();
        let mut count = |asked: bool| asked.then(|| counts.next()).flatten().unwrap_or(0);
        Ok(SetChanged { added: count(!add.is_empty()), removed: count(!remove.is_empty()) })
    }

    async fn stations(&self, query: &PageQuery<'_>) -> Result<Listing<StationId>, StoreError> {
        if query.cursor.is_some_and(|cursor| cursor.parse::<StationId>().is_err()) {
            return Err(StoreError::BadCursor);
        }
        let page = self.in_order(self.public_stations(), query).await?;
        let next = page.last().filter(|_| page.len() == query.limit as usize).cloned();
        Ok(Listing { items: page.iter().filter_map(|station| station.parse().ok()).collect(), next })
    }

    async fn member(&self, token: &DriverToken) -> Result<Option<Member>, StoreError> {
        Ok(self.members_of(vec![token.clone()]).await?.pop())
    }

    async fn change_members(&self, add: &[Member], remove: &[DriverToken]) -> Result<SetChanged, StoreError> {
        if add.is_empty() && remove.is_empty() {
            return Ok(SetChanged::default());
        }
        let mut script = redis::cmd("EVAL");
        script.arg(CHANGE_MEMBERS).arg(3).arg(self.platform_members());
        script.arg(self.order_of_members()).arg(self.ends_of_members());
        script.arg(now_ms()).arg(add.len());
        for member in add {
            script.arg(member.token.expose()).arg(member.until.unwrap_or(0));
        }
        for token in remove {
            script.arg(token.expose());
        }
        let (added, removed) = self.command(&script).await?;
        Ok(SetChanged { added, removed })
    }

    async fn members(&self, query: &PageQuery<'_>) -> Result<Listing<Member>, StoreError> {
        if query.cursor.is_some_and(|cursor| DriverToken::parse(cursor).is_err()) {
            return Err(StoreError::BadCursor);
        }
        let page = self.in_order(self.order_of_members(), query).await?;
        let next = page.last().filter(|_| page.len() == query.limit as usize).cloned();
        let tokens = page.iter().filter_map(|token| DriverToken::parse(token).ok()).collect();
        Ok(Listing { items: self.members_of(tokens).await?, next })
    }

    async fn version(&self) -> Result<Option<PlatformVersion>, StoreError> {
        let version: Option<u64> = self.command(redis::cmd("GET").arg(self.platform_version())).await?;
        Ok(version.and_then(PlatformVersion::new))
    }

    async fn set_version(&self, version: Option<PlatformVersion>) -> Result<(), StoreError> {
        let key = self.platform_version();
        match version {
            Some(version) => self.command(redis::cmd("SET").arg(key).arg(version.number())).await,
            None => self.command(redis::cmd("DEL").arg(key)).await,
        }
    }
}

/// The member with this end; 0 means that the membership does not end.
fn member(token: DriverToken, end: Millis) -> Member {
    Member { token, until: (end > 0).then_some(end) }
}
