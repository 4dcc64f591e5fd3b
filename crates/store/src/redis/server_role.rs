//! The role of the server that a connection leads to. `HELLO` reports it, and every user of Redis may call it (`ROLE`
//! and `INFO` are refused to users without dangerous commands). It needs Redis 6.2 or later.

use std::collections::HashMap;

use redis::{Cmd, ErrorKind, FromRedisValue, ParsingError, RedisResult, ServerErrorKind, Value};

use crate::StoreError;

/// The role of a server, by its answer to [`ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerRole {
    /// Accepts reads and writes.
    Primary,
    /// Follows a primary: its data may be old, and it accepts no writes.
    Replica,
    /// A node of a Redis Cluster, which holds a part of the keys.
    ClusterNode,
    /// Monitors servers and holds no data.
    Sentinel,
}

/// The command that asks for the role.
pub(super) fn ask() -> Cmd {
    redis::cmd("HELLO")
}

impl FromRedisValue for ServerRole {
    fn from_redis_value(answer: Value) -> Result<Self, ParsingError> {
        let facts: HashMap<String, Value> = FromRedisValue::from_redis_value(answer)?;
        let text =
            |name: &str| facts.get(name).and_then(|value| redis::from_redis_value_ref::<String>(value).ok());
        Ok(match (text("mode").as_deref(), text("role").as_deref()) {
            (Some("cluster"), _) => Self::ClusterNode,
            (Some("sentinel"), _) => Self::Sentinel,
            (_, Some("master")) => Self::Primary,
            _ => Self::Replica,
        })
    }
}

impl ServerRole {
    /// Returns an error for a server that cannot serve.
    pub(super) fn serving(self) -> Result<(), StoreError> {
        match self {
            Self::Primary => Ok(()),
            Self::Replica => Err(StoreError::unavailable("it is a replica, not the primary".to_owned())),
            Self::ClusterNode => Err(StoreError::WrongServer(
                "it is a node of a Redis Cluster, which is not supported; name one Redis server, or a primary with replicas",
            )),
            Self::Sentinel => Err(StoreError::WrongServer(
                "it is a Redis Sentinel, which holds no data; name the primary that it watches",
            )),
        }
    }

    /// The same as a Redis error, as the server itself would answer a write.
    pub(super) fn still_primary(self) -> RedisResult<()> {
        match self {
            Self::Primary => Ok(()),
            _ => Err((ErrorKind::Server(ServerErrorKind::ReadOnly), "it is no longer the primary").into()),
        }
    }
}
