//! The sockets of this process, by station. The newest one of a charger is the charger; the one before it is closed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::metrics::gauge;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metrics::SOCKETS;

/// How many words wait for a socket.
const WAITING: usize = 128;

/// What a socket hears of other tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// This command waits to be sent.
    Command(Uuid),
    /// An operator has changed something of the charger.
    Changed,
}

/// How a socket is reached.
#[derive(Debug)]
struct Handle {
    epoch: i64,
    words: mpsc::Sender<Word>,
    superseded: CancellationToken,
}

/// The sockets, by station.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Mutex<HashMap<Uuid, Handle>>);

/// What the socket itself holds.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) words: mpsc::Receiver<Word>,
    /// Cancelled when a newer connection has come.
    pub(crate) superseded: CancellationToken,
}

impl Sockets {
    /// Enters a socket, and ends the older one of the same charger. `None` if this one is the older.
    pub(crate) fn enter(&self, station: Uuid, epoch: i64) -> Option<Place> {
        let mut all = self.all();
        if all.get(&station).is_some_and(|known| known.epoch > epoch) {
            return None;
        }
        let (sender, words) = mpsc::channel(WAITING);
        let superseded = CancellationToken::new();
        let handle = Handle { epoch, words: sender, superseded: superseded.clone() };
        if let Some(older) = all.insert(station, handle) {
            older.superseded.cancel();
        }
        gauge!(SOCKETS).set(u32::try_from(all.len()).unwrap_or(u32::MAX));
        Some(Place { words, superseded })
    }

    /// Removes a socket, unless a newer one has taken its place.
    pub(crate) fn leave(&self, station: Uuid, epoch: i64) {
        let mut all = self.all();
        if all.get(&station).is_some_and(|known| known.epoch == epoch) {
            all.remove(&station);
        }
        gauge!(SOCKETS).set(u32::try_from(all.len()).unwrap_or(u32::MAX));
    }

    /// Ends the socket of a charger that has connected elsewhere since.
    pub(crate) fn supersede(&self, station: Uuid, epoch: i64) {
        if let Some(handle) = self.all().get(&station).filter(|handle| handle.epoch < epoch) {
            handle.superseded.cancel();
        }
    }

    /// Says a word to the socket of this charger. `false` if it is not here, or has too much to do.
    pub(crate) fn say(&self, station: Uuid, word: Word) -> bool {
        self.all().get(&station).is_some_and(|handle| handle.words.try_send(word).is_ok())
    }

    /// The stations and epochs of all sockets, by station, so that no two nodes wait for each other's rows.
    pub(crate) fn held(&self) -> Vec<(Uuid, i64)> {
        let mut held: Vec<_> = self.all().iter().map(|(station, handle)| (*station, handle.epoch)).collect();
        held.sort_unstable();
        held
    }

    /// Whether this socket is open.
    pub(crate) fn holds(&self, station: Uuid, epoch: i64) -> bool {
        self.all().get(&station).is_some_and(|handle| handle.epoch == epoch)
    }

    pub(crate) fn len(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_socket_is_the_charger_whatever_ends_first() {
        let (sockets, station) = (Sockets::default(), Uuid::now_v7());
        let first = sockets.enter(station, 1).unwrap();
        let mut second = sockets.enter(station, 2).unwrap();
        assert!(first.superseded.is_cancelled() && !second.superseded.is_cancelled());
        sockets.leave(station, 1);
        assert!(sockets.say(station, Word::Changed));
        assert_eq!(second.words.recv().await, Some(Word::Changed));
        assert!(sockets.enter(station, 1).is_none());
        sockets.supersede(station, 3);
        assert!(second.superseded.is_cancelled());
        sockets.leave(station, 2);
        assert!(!sockets.say(station, Word::Changed) && sockets.len() == 0);
    }
}
