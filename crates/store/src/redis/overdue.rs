//! Overdue deliveries: the sorted set `voltgate:deliveries` of request ids. The score is the moment by which the
//! delivery has to end.

use async_trait::async_trait;
use common::ids::RequestId;

use super::RedisStore;
use crate::overdue::lease_end;
use crate::{Millis, OverdueDeliveries, StoreError};

/// KEYS: the set. ARGV: now, the end of the lease, the limit.
const CLAIM: &str = r"
local overdue = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(overdue) do redis.call('ZADD', KEYS[1], ARGV[2], member) end
return overdue";

impl RedisStore {
    fn deliveries(&self) -> String {
        self.key("voltgate:deliveries")
    }
}

#[async_trait]
impl OverdueDeliveries for RedisStore {
    async fn expect(&self, request: RequestId, over_by: Millis) -> Result<(), StoreError> {
        let mut command = redis::cmd("ZADD");
        command.arg(self.deliveries()).arg(over_by).arg(request.to_string());
        self.command(&command).await
    }

    async fn claim_overdue(&self, now: Millis, limit: u32) -> Result<Vec<RequestId>, StoreError> {
        let mut script = redis::cmd("EVAL");
        script.arg(CLAIM).arg(1).arg(self.deliveries()).arg(now).arg(lease_end(now)).arg(limit);
        let members: Vec<String> = self.command(&script).await?;
        // Another program may have added anything; such members would be claimed again and again.
        let (ours, others): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|member| member.parse::<RequestId>().is_ok());
        self.take_off(&others).await?;
        Ok(ours.iter().filter_map(|member| member.parse().ok()).collect())
    }

    async fn over(&self, requests: &[RequestId]) -> Result<(), StoreError> {
        self.take_off(&requests.iter().map(RequestId::to_string).collect::<Vec<_>>()).await
    }
}

impl RedisStore {
    async fn take_off(&self, members: &[String]) -> Result<(), StoreError> {
        if members.is_empty() {
            return Ok(());
        }
        self.command(redis::cmd("ZREM").arg(self.deliveries()).arg(members)).await
    }
}
