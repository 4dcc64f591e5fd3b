//! Groups: their names in the set `voltgate:groups`, the stations of each in the set `voltgate:group:<NAME>:stations`, its
//! drivers in the hash `voltgate:group:<NAME>:drivers`, with `FROM:UNTIL` (0 for none) as the value.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use super::RedisStore;
use super::access::scan_cursor;
use crate::{Entry, GroupName, GroupSize, Groups, Listing, PageQuery, Period, StoreError};

impl RedisStore {
    fn groups(&self) -> String {
        self.key("voltgate:groups")
    }

    fn group_stations(&self, name: &GroupName) -> String {
        self.key(format_args!("voltgate:group:{name}:stations"))
    }

    fn group_drivers(&self, name: &GroupName) -> String {
        self.key(format_args!("voltgate:group:{name}:drivers"))
    }

    async fn remove_content(&self, name: &GroupName) -> Result<(), StoreError> {
        for key in [self.group_stations(name), self.group_drivers(name)] {
            self.command::<()>(redis::cmd("UNLINK").arg(key)).await?;
        }
        Ok(())
    }

    async fn scan(
        &self,
        key: String,
        query: &PageQuery<'_>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let mut command = redis::cmd("SSCAN");
        command.arg(key).arg(scan_cursor(query.cursor)?).arg("COUNT").arg(query.limit);
        let (next, members): (u64, Vec<String>) = self.command(&command).await?;
        Ok((members, (next != 0).then(|| next.to_string())))
    }
}

#[async_trait]
impl Groups for RedisStore {
    async fn create(&self, name: &GroupName) -> Result<bool, StoreError> {
        if self.size(name).await?.is_some() {
            return Ok(false);
        }
        // Remains of an interrupted deletion must not reappear with the name.
        self.remove_content(name).await?;
        self.command(redis::cmd("SADD").arg(self.groups()).arg(name.to_string())).await
    }

    async fn delete(&self, name: &GroupName) -> Result<bool, StoreError> {
        // The name comes last: until then the deletion can be repeated.
        self.remove_content(name).await?;
        self.command(redis::cmd("SREM").arg(self.groups()).arg(name.to_string())).await
    }

    async fn size(&self, name: &GroupName) -> Result<Option<GroupSize>, StoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("SISMEMBER").arg(self.groups()).arg(name.to_string());
        pipe.cmd("SCARD").arg(self.group_stations(name)).cmd("HLEN").arg(self.group_drivers(name));
        let (known, stations, drivers): (bool, u64, u64) = self.pipeline(&pipe).await?;
        Ok(known.then_some(GroupSize { stations, drivers }))
    }

    async fn names(&self, query: &PageQuery<'_>) -> Result<Listing<GroupName>, StoreError> {
        let (members, next) = self.scan(self.groups(), query).await?;
        Ok(Listing { items: members.iter().filter_map(|name| GroupName::parse(name).ok()).collect(), next })
    }

    async fn join(&self, name: &GroupName, station: StationId) -> Result<bool, StoreError> {
        self.command(redis::cmd("SADD").arg(self.group_stations(name)).arg(station.to_string())).await
    }

    async fn leave(&self, name: &GroupName, station: StationId) -> Result<bool, StoreError> {
        self.command(redis::cmd("SREM").arg(self.group_stations(name)).arg(station.to_string())).await
    }

    async fn stations(
        &self,
        name: &GroupName,
        query: &PageQuery<'_>,
    ) -> Result<Listing<StationId>, StoreError> {
        let (members, next) = self.scan(self.group_stations(name), query).await?;
        Ok(Listing { items: members.iter().filter_map(|station| station.parse().ok()).collect(), next })
    }

    async fn put_driver(&self, name: &GroupName, entry: &Entry) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HSET");
        command.arg(self.group_drivers(name)).arg(entry.token.expose()).arg(entry.period.to_text());
        self.command(&command).await
    }

    async fn remove_driver(&self, name: &GroupName, token: &DriverToken) -> Result<bool, StoreError> {
        self.command(redis::cmd("HDEL").arg(self.group_drivers(name)).arg(token.expose())).await
    }

    async fn drivers(&self, name: &GroupName, query: &PageQuery<'_>) -> Result<Listing<Entry>, StoreError> {
        let mut command = redis::cmd("HSCAN");
        command.arg(self.group_drivers(name)).arg(scan_cursor(query.cursor)?).arg("COUNT").arg(query.limit);
        let (next, held): (u64, Vec<(String, String)>) = self.command(&command).await?;
        let entry = |(token, period): &(String, String)| {
            Some(Entry { token: DriverToken::parse(token).ok()?, period: Period::from_text(period)? })
        };
        Ok(Listing {
            items: held.iter().filter_map(entry).collect(),
            next: (next != 0).then(|| next.to_string()),
        })
    }

    async fn has_drivers(&self, name: &GroupName, tokens: &[DriverToken]) -> Result<Vec<bool>, StoreError> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.group_drivers(name)).arg(tokens.iter().map(DriverToken::expose).collect::<Vec<_>>());
        let held: Vec<Option<String>> = self.command(&command).await?;
        Ok(held.iter().map(Option::is_some).collect())
    }
}
