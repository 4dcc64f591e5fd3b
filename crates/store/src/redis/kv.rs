//! Small key-value state: plain strings with an expiry, under `voltgate:`.

use std::time::Duration;

use async_trait::async_trait;

use super::RedisStore;
use crate::{KeyValue, StoreError, Writes};

#[async_trait]
impl KeyValue for RedisStore {
    async fn put_if_absent(
        &self,
        key: &str,
        value: &str,
        keep: Duration,
    ) -> Result<Option<String>, StoreError> {
        let key = self.key(format_args!("voltgate:{key}"));
        let mut pipe = redis::pipe();
        // `SET … NX GET` needs Redis 7.
        pipe.cmd("SET").arg(&key).arg(value).arg("NX").arg("PX").arg(milliseconds(keep)).cmd("GET").arg(&key);
        loop {
            let (put, held): (Option<String>, Option<String>) = self.pipeline(&pipe).await?;
            match (put, held) {
                (Some(_), _) => return Ok(None),
                (None, Some(held)) => return Ok(Some(held)),
                // The key expired between the two commands.
                (None, None) => {}
            }
        }
    }

    async fn put(&self, key: &str, value: &str, keep: Duration) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(self.key(format_args!("voltgate:{key}"))).arg(value).arg("PX").arg(milliseconds(keep));
        self.command(&command).await
    }

    async fn get(&self, keys: &[&str]) -> Result<Vec<Option<String>>, StoreError> {
        // Not MGET: the keys may be in different slots.
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.cmd("GET").arg(self.key(format_args!("voltgate:{key}")));
        }
        self.pipeline(&pipe).await
    }

    async fn remove(&self, key: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(self.key(format_args!("voltgate:{key}")));
        self.command(&command).await
    }

    async fn probe(&self, writes: Writes) -> Result<(), StoreError> {
        match writes {
            Writes::AccessLists => self.probe_access_lists().await,
            Writes::Notes => self.probe_notes().await,
            Writes::Records => self.probe_records().await,
        }
    }
}

fn milliseconds(keep: Duration) -> u64 {
    u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1)
}
