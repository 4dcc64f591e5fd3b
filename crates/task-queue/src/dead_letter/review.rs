//! Reviews the dead letters of a queue: each is read once, and kept, replayed or purged.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{queue_of, revive};
use crate::broker::{Broker, BrokerError, Delivery, PublishError};
use crate::message::Message;

/// What to do with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays in the dead letter queue.
    Keep,
    /// It is published to the queue it came from, and removed from the dead letter queue once that is confirmed.
    Replay,
    /// It is deleted.
    Purge,
}

/// Why a review stopped. What was done with the letters before this one is not undone.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The queue cannot be read, or a letter cannot be settled.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A letter was not confirmed in its queue. It is still in the dead letter queue.
    #[error("{0}; the letter stays here, and may be replayed again")]
    Publish(#[from] PublishError),
}

/// If no letter arrives for this long, the queue is empty.
const SILENCE: Duration = Duration::from_secs(2);

/// Passes at most `most` letters of a queue to `judge` and carries out its decisions. Letters to keep are held until
/// the end, so that each is read once, and are then requeued.
///
/// # Errors
/// Returns [`ReviewError`] if the queue or a letter cannot be processed.
pub async fn review(
    broker: &Arc<dyn Broker>,
    queue: &str,
    most: u16,
    at_ms: u64,
    mut judge: impl FnMut(&Message) -> Fate,
) -> Result<(), ReviewError> {
    let dead_queue = queue_of(queue);
    let waiting = broker.depth(&dead_queue).await?.min(u64::from(most));
    let stop = CancellationToken::new();
    let mut letters = broker.consume(&dead_queue, most, stop.clone()).await?;
    let mut kept: Vec<Delivery> = Vec::new();
    let mut result = Ok(());
    for _ in 0..waiting {
        let Ok(Some(letter)) = tokio::time::timeout(SILENCE, letters.recv()).await else { break };
        let fate = judge(&letter.message);
        if let Err(error) = settle(broker, letter, fate, at_ms, &mut kept).await {
            result = Err(error);
            break;
        }
    }
    stop.cancel();
    while let Some(unseen) = letters.recv().await {
        kept.push(unseen);
    }
    for letter in kept {
        letter.requeue().await?;
    }
    result
}

async fn settle(
    broker: &Arc<dyn Broker>,
    letter: Delivery,
    fate: Fate,
    at_ms: u64,
    kept: &mut Vec<Delivery>,
) -> Result<(), ReviewError> {
    match (fate, revive(&letter.message, at_ms)) {
        (Fate::Purge, _) => drop(letter.ack().await?),
        (Fate::Replay, Some((queue, message))) => {
            match broker.publish(&queue, &message, Duration::ZERO).await {
                Ok(()) => drop(letter.ack().await?),
                Err(error) => {
                    kept.push(letter);
                    return Err(error.into());
                }
            }
        }
        (Fate::Keep, _) | (Fate::Replay, None) => kept.push(letter),
    }
    Ok(())
}
