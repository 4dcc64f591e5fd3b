//! `rpc://`: each result is a message to the queue that the caller named in `reply_to`.

use std::sync::Arc;

use bytes::Bytes;

use super::{ResultError, TaskMeta};
use crate::broker::{Broker, PublishError};
use crate::message::{Headers, Message, Properties};

pub(super) async fn send(broker: &Arc<dyn Broker>, meta: &TaskMeta) -> Result<(), ResultError> {
    let Some(reply_to) = &meta.reply_to else { return Ok(()) };
    let properties = Properties {
        content_type: Some("application/json".to_owned()),
        content_encoding: Some("utf-8".to_owned()),
        correlation_id: Some(meta.correlation_id.as_ref().unwrap_or(&meta.task_id).clone()),
        priority: Some(0),
        ..Properties::default()
    };
    let message = Message { properties, headers: Headers::new(), body: Bytes::from(meta.to_json()) };
    match broker.reply(reply_to, &message).await {
        // A retry would be refused again, together with everything else in flight on the channel.
        Err(PublishError::TooLarge(why)) => {
            tracing::error!(id = meta.task_id, %why, "the result is too large to be sent to its caller");
            Ok(())
        }
        sent => Ok(sent?),
    }
}
