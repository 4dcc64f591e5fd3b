//! What kind of server a connection leads to. `HELLO` says it, which any user of Redis may ask (`ROLE` and `INFO` are refused
//! to users without dangerous commands). It needs Redis 6.2 or later.

use std::collections::HashMap;

use redis::{Cmd, ErrorKind, FromRedisValue, ParsingError, RedisResult, ServerErrorKind, Value};

use crate::StoreError;

/// What a server is, by its answer to [`ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerRole {
    /// The one that serves.
    Primary,
    /// Follows a primary: what it holds may be old, and nothing can be written.
    Replica,
    /// A node of a Redis Cluster, which holds a part of the keys.
    ClusterNode,
    /// Watches over servers and holds nothing.
    Sentinel,
}

/// The question.
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
    /// Refuses whatever cannot serve.
    pub(super) fn serving(self) -> Result<(), StoreError> {
        match self {
            Self::Primary => Ok(()),
            Self::Replica => Err(StoreError::Unavailable("it is a replica, not the primary".to_owned())),
            Self::ClusterNode => Err(StoreError::WrongServer(
                "it is a node of a Redis Cluster, which is not supported; name one Redis server, or a primary with replicas",
            )),
            Self::Sentinel => Err(StoreError::WrongServer(
                "it is a Redis Sentinel, which holds no data; name the primary that it watches",
            )),
        }
    }

    /// The same as an error of Redis, as the server itself would say it to a write.
    pub(super) fn still_primary(self) -> RedisResult<()> {
        match self {
            Self::Primary => Ok(()),
            _ => Err((ErrorKind::Server(ServerErrorKind::ReadOnly), "it is no primary any more").into()),
        }
    }
}
