//! Public stations and member tokens as sorted sets, whose scores are all 0, so that they are read in order:
//! `voltgate:{platform}:public` and `voltgate:{platform}:members`. `voltgate:{platform}:ends` has the members whose
//! membership ends, by its end. The version is `voltgate:{platform}:version`. The hash tag keeps all in one slot.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};
use redis::{Pipeline, Value};

use super::access::now_ms;
use super::{RedisStore, unavailable};
use crate::{Listing, Member, Millis, PageQuery, PlatformVersion, PublicAccess, SetChanged, StoreError};

/// KEYS: the members, the ends. ARGV: now, the number of members to add, the token and the end (0 for none) of each,
/// then the tokens to remove. It also clears away members whose end has passed, more of them than it adds, so that they
/// do not pile up.
const CHANGE_MEMBERS: &str = r"
local members, ends, now, added, removed = KEYS[1], KEYS[2], tonumber(ARGV[1]), 0, 0
local function drop(token)
  local till = redis.call('ZSCORE', ends, token)
  if till then redis.call('ZREM', ends, token) end
  local there = redis.call('ZREM', members, token) == 1
  return there and not (till and tonumber(till) <= now) and 1 or 0
end
for _, token in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, #ARGV)) do drop(token) end
local last = 2 + 2 * tonumber(ARGV[2])
for at = 3, last, 2 do
  local token, till = ARGV[at], ARGV[at + 1]
  if till ~= '0' and tonumber(till) <= now then
    removed = removed + drop(token)
  else
    local held = redis.call('ZSCORE', ends, token)
    local new = redis.call('ZADD', members, 0, token) == 1
    if till ~= '0' then redis.call('ZADD', ends, till, token)
    elseif held then redis.call('ZREM', ends, token) end
    if new or tonumber(held or 0) ~= tonumber(till) then added = added + 1 end
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

    fn ends_of_members(&self) -> String {
        self.key("voltgate:{platform}:ends")
    }

    fn platform_version(&self) -> String {
        self.key("voltgate:{platform}:version")
    }

    /// Adds the reads that [`PublicAnswers::of`] takes. They are three for any number of pairs: most stations are not
    /// public, and their checks should not take longer.
    pub(super) fn ask_public(&self, pipe: &mut Pipeline, pairs: &[(StationId, DriverToken)]) {
        let public = pipe.cmd("ZMSCORE").arg(self.public_stations());
        for (station, _) in pairs {
            public.arg(station.to_string());
        }
        for key in [self.platform_members(), self.ends_of_members()] {
            let tokens = pipe.cmd("ZMSCORE").arg(key);
            for (_, token) in pairs {
                tokens.arg(token.expose());
            }
        }
    }

    /// The ends of these memberships, in their order.
    async fn ends(&self, tokens: &[DriverToken]) -> Result<Vec<Option<Millis>>, StoreError> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("ZMSCORE");
        command.arg(self.ends_of_members()).arg(tokens.iter().map(DriverToken::expose).collect::<Vec<_>>());
        let ends: Vec<Option<f64>> = self.command(&command).await?;
        Ok(ends.into_iter().map(|end| end.map(millis)).collect())
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
    members: Vec<Option<f64>>,
    ends: Vec<Option<f64>>,
}

impl PublicAnswers {
    /// Takes the last answers of a pipeline: those to [`RedisStore::ask_public`].
    pub(super) fn of(answers: &mut Vec<Value>) -> Result<Self, StoreError> {
        let mut last = || -> Result<Vec<Option<f64>>, StoreError> {
            let answer = answers.pop().unwrap_or(Value::Nil);
            redis::from_redis_value(answer).map_err(unavailable)
        };
        let (ends, members, public) = (last()?, last()?, last()?);
        Ok(Self { public, members, ends })
    }

    pub(super) fn admits(&self, pair: usize, now: Millis) -> bool {
        let score = |scores: &[Option<f64>]| scores.get(pair).copied().flatten();
        score(&self.public).is_some()
            && score(&self.members).is_some()
            && score(&self.ends).is_none_or(|end| millis(end) > now)
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
        let mut pipe = redis::pipe();
        pipe.cmd("ZSCORE").arg(self.platform_members()).arg(token.expose());
        pipe.cmd("ZSCORE").arg(self.ends_of_members()).arg(token.expose());
        let (there, end): (Option<f64>, Option<f64>) = self.pipeline(&pipe).await?;
        let member = Member { token: token.clone(), until: end.map(millis) };
        Ok((there.is_some() && !member.is_over(now_ms())).then_some(member))
    }

    async fn change_members(&self, add: &[Member], remove: &[DriverToken]) -> Result<SetChanged, StoreError> {
        if add.is_empty() && remove.is_empty() {
            return Ok(SetChanged::default());
        }
        let mut script = redis::cmd("EVAL");
        script.arg(CHANGE_MEMBERS).arg(2).arg(self.platform_members()).arg(self.ends_of_members());
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
        let page = self.in_order(self.platform_members(), query).await?;
        let next = page.last().filter(|_| page.len() == query.limit as usize).cloned();
        let tokens: Vec<_> = page.iter().filter_map(|token| DriverToken::parse(token).ok()).collect();
        let (ends, now) = (self.ends(&tokens).await?, now_ms());
        let members = tokens.into_iter().zip(ends).map(|(token, until)| Member { token, until });
        Ok(Listing { items: members.filter(|member| !member.is_over(now)).collect(), next })
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

/// A score, which holds a moment exactly.
fn millis(score: f64) -> Millis {
    score as Millis
}
