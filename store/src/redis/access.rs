//! Access lists: the set `station:<STATION_UUID>:allowlist` of driver tokens.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use super::RedisStore;
use crate::{AccessLists, Added, Page, StoreError};

impl RedisStore {
    fn allowlist(&self, station: StationId) -> String {
        self.key(format_args!("station:{station}:allowlist"))
    }
}

#[async_trait]
impl AccessLists for RedisStore {
    async fn contains(&self, station: StationId, token: &DriverToken) -> Result<bool, StoreError> {
        let mut command = redis::cmd("SISMEMBER");
        command.arg(self.allowlist(station)).arg(token.expose());
        self.command(&command).await
    }

    async fn contains_many(&self, pairs: &[(StationId, DriverToken)]) -> Result<Vec<bool>, StoreError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for (station, token) in pairs {
            pipe.cmd("SISMEMBER").arg(self.allowlist(*station)).arg(token.expose());
        }
        self.pipeline(&pipe).await
    }

    async fn add(&self, station: StationId, tokens: &[DriverToken]) -> Result<Added, StoreError> {
        let key = self.allowlist(station);
        let mut pipe = redis::pipe();
        pipe.atomic();
        if tokens.is_empty() {
            // SADD wants one member at least.
            pipe.cmd("SISMEMBER").arg(&key).arg("");
        } else {
            pipe.cmd("SADD").arg(&key).arg(tokens.iter().map(DriverToken::expose).collect::<Vec<_>>());
        }
        pipe.cmd("SCARD").arg(&key);
        let (added, size) = self.pipeline(&pipe).await?;
        Ok(Added { added, size })
    }

    async fn remove(&self, station: StationId, token: &DriverToken) -> Result<u64, StoreError> {
        let key = self.allowlist(station);
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("SREM").arg(&key).arg(token.expose()).ignore().cmd("SCARD").arg(&key);
        let (size,): (u64,) = self.pipeline(&pipe).await?;
        Ok(size)
    }

    async fn page(&self, station: StationId, cursor: Option<&str>, limit: u32) -> Result<Page, StoreError> {
        let key = self.allowlist(station);
        let cursor: u64 = cursor.unwrap_or("0").parse().map_err(|_| StoreError::BadCursor)?;
        let mut pipe = redis::pipe();
        pipe.cmd("SSCAN").arg(&key).arg(cursor).arg("COUNT").arg(limit).cmd("SCARD").arg(&key);
        let ((next, members), size): ((String, Vec<String>), u64) = self.pipeline(&pipe).await?;
        // Another program may have put anything into the set; what is no token admits nobody and is not shown.
        let tokens = members.iter().filter_map(|member| DriverToken::parse(member).ok()).collect();
        Ok(Page { tokens, size, next: (next != "0").then_some(next) })
    }
}
