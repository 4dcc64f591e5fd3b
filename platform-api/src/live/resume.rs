//! Where a stream begins: now, or after the last event that the client has received.

use charging::{DbError, events};
use std::sync::Arc;

use super::Listener;
use super::event::Shown;

const AT_ONCE: i64 = 200;

/// The events that a client has missed, read from the outbox in pieces.
pub(super) struct Missed {
    /// The last position that the client has.
    pub(super) position: i64,
    /// Whether some events are no longer stored, or the position is not of this database.
    pub(super) lost: bool,
}

impl Listener {
    /// What a client has missed since this position.
    pub(super) async fn missed(&self, seen: i64) -> Result<Missed, DbError> {
        let state = self.db.read(async move |tx| events::state(tx).await).await?;
        let next_is_stored =
            state.first.is_some_and(|first| first <= seen.saturating_add(1)) || seen == state.last_position;
        let lost = seen > state.last_position || !next_is_stored;
        Ok(Missed { position: if lost { self.position } else { seen }, lost })
    }

    /// Lets the stream read from the outbox what was sent up to now.
    pub(super) fn lagged(&mut self) {
        self.position = self.latest.borrow().unwrap_or(self.position);
    }

    /// The stored events after this position, up to where the stream began or lagged, and the position of the last one; `None` if there
    /// are none left.
    pub(super) async fn stored(&self, after: i64) -> Result<Option<(i64, Vec<Arc<Shown>>)>, DbError> {
        let found = self.db.read(async move |tx| events::after(tx, after, AT_ONCE).await).await?;
        let found: Vec<_> = found.into_iter().filter(|event| event.position <= self.position).collect();
        let shown = found.iter().filter_map(Shown::of).map(Arc::new).collect();
        Ok(found.last().map(|last| (last.position, shown)))
    }
}
