//! Finding records: by station, driver, decision and time, newest first; and as they are decided.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use async_trait::async_trait;
use common::clock::Nanos;
use common::decision::Decision;
use common::ids::{RequestId, StationId};
use uuid::Uuid;

use crate::{DeliveryState, Record, StoreError};

/// So many records are looked at for one page, however few of them fit.
const EXAMINED: usize = 250;

/// The index of the records, and the feed of decisions.
#[async_trait]
pub trait Search: Send + Sync {
    /// A page of the records that fit, newest first, beginning behind a place. It may be short of its limit, even empty,
    /// and yet have a next one: the work for a page is bounded.
    async fn list(&self, filter: &Filter, after: Option<Place>, limit: usize) -> Result<Found, StoreError>;

    /// Where the feed of decisions ends now.
    async fn feed_end(&self) -> Result<FeedPosition, StoreError>;

    /// Whether the feed still has this position, so that nothing which came after it is missing.
    async fn feed_holds(&self, position: FeedPosition) -> Result<bool, StoreError>;

    /// What was decided after this position, in the order in which it was recorded, so that nothing ever comes in before
    /// what was read. A decision may be there twice.
    async fn feed_after(&self, position: FeedPosition, limit: usize) -> Result<Fed, StoreError>;
}

/// Which records are wanted. What is not given fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this station.
    pub station_id: Option<StationId>,
    /// Of this driver token, as it was presented.
    pub driver_token: Option<common::ids::PresentedToken>,
    /// Decided like this.
    pub status: Option<Decision>,
    /// Whose delivery stands like this.
    pub delivery: Option<DeliveryState>,
    /// Called at this moment or later.
    pub from_ns: Option<Nanos>,
    /// Called before this moment.
    pub to_ns: Option<Nanos>,
}

/// A place in the order of all records: by the client's call, then by id. It holds nothing personal, so that it can be a
/// cursor in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the client called.
    pub start_ns: Nanos,
    /// The request.
    pub request_id: RequestId,
}

/// A text that is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the `cursor` of the page before")]
pub struct NoPlace;

/// A page of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The newest first.
    pub records: Vec<Record>,
    /// Where the next page begins; nothing at the end.
    pub next: Option<Place>,
}

/// A position in the feed of decisions, in the form of Redis' stream ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    /// In Redis milliseconds since 1970; embedded always 0.
    pub ms: u64,
    /// Counts within them.
    pub seq: u64,
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of an event of this stream")]
pub struct NoFeedPosition;

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// In the feed's order.
    pub records: Vec<(FeedPosition, Record)>,
    /// Up to where it was read.
    pub position: FeedPosition,
    /// Whether there may be more already.
    pub more: bool,
}

/// A page while it is filled.
pub(crate) struct Gathering<'a> {
    filter: &'a Filter,
    limit: usize,
    examined: usize,
    records: Vec<Record>,
}

// === impl Filter ===

impl Filter {
    /// Whether a record is wanted.
    pub fn fits(&self, record: &Record) -> bool {
        let start = record.key.start_ns;
        self.station_id.is_none_or(|station| station == record.key.station_id)
            && self.driver_token.as_ref().is_none_or(|token| *token == record.key.driver_token)
            && self.status.is_none_or(|status| status == record.decided.decision)
            && self.delivery.is_none_or(|delivery| delivery == record.delivery)
            && self.from_ns.is_none_or(|from| start >= from)
            && self.to_ns.is_none_or(|to| start < to)
    }
}

// === impl Place ===

impl Place {
    const LENGTH: usize = 24;

    /// Bytes that sort as places do.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.start_ns.to_be_bytes());
        bytes[8..].copy_from_slice(self.request_id.uuid().as_bytes());
        bytes
    }

    /// The reverse; nothing for any other number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (start, id) = bytes.split_at_checked(8)?;
        Some(Self {
            start_ns: u64::from_be_bytes(start.try_into().ok()?),
            request_id: RequestId::from_uuid(Uuid::from_slice(id).ok()?),
        })
    }

    /// Before everything that began then or later.
    pub(crate) fn before(start_ns: Nanos) -> Self {
        Self { start_ns, request_id: RequestId::from_uuid(Uuid::nil()) }
    }

    /// The newest start that a place before this one can have.
    pub(crate) fn newest_before(self) -> Nanos {
        if self == Self::before(self.start_ns) { self.start_ns.saturating_sub(1) } else { self.start_ns }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        if text.len() != 2 * Self::LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoPlace);
        }
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NoPlace);
        let bytes = (0..text.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, NoPlace>>()?;
        Self::from_bytes(&bytes).ok_or(NoPlace)
    }
}

// === impl FeedPosition ===

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for FeedPosition {
    type Err = NoFeedPosition;

    fn from_str(text: &str) -> Result<Self, NoFeedPosition> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().ok_or(NoFeedPosition)
        };
        let (ms, seq) = text.split_once('-').ok_or(NoFeedPosition)?;
        Ok(Self { ms: number(ms)?, seq: number(seq)? })
    }
}

// === impl Gathering ===

impl<'a> Gathering<'a> {
    pub(crate) fn new(filter: &'a Filter, limit: usize) -> Self {
        Self { filter, limit, examined: 0, records: Vec::new() }
    }

    /// The one that is wanted.
    pub(crate) fn delivery(&self) -> Option<DeliveryState> {
        self.filter.delivery
    }

    /// Takes the record in where it fits. `Break` when the page is full, or has cost enough.
    pub(crate) fn offer(&mut self, record: Option<Record>) -> ControlFlow<()> {
        self.examined += 1;
        self.records.extend(record.filter(|record| self.filter.fits(record)));
        let enough = self.records.len() >= self.limit || self.examined >= EXAMINED;
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The page, and where the next one begins.
    pub(crate) fn until(self, next: Option<Place>) -> Found {
        Found { records: self.records, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let place = Place { start_ns: 1_795_246_192_094_754_391, request_id: RequestId::new() };
        assert_eq!(place.to_string().parse(), Ok(place));
        let shortened = &place.to_string()[1..];
        for text in ["", "7", shortened, &format!("+{shortened}"), &format!("é{}", &shortened[1..])] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }

    #[test]
    fn places_sort_as_their_bytes_do() {
        let mut places: Vec<Place> =
            [3, 1, 256, 2, 1].map(|start_ns| Place { start_ns, request_id: RequestId::new() }).into();
        places.sort_unstable();
        assert!(places.is_sorted_by_key(|place| place.to_bytes()));
    }

    #[test]
    fn a_position_of_the_feed_is_read_back_and_nothing_else_is_one() {
        let position = FeedPosition { ms: 1_795_246_192_094, seq: 3 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in ["", "-", "7", "7-", "+7-1", "7-x", "99999999999999999999-1"] {
            assert_eq!(text.parse::<FeedPosition>(), Err(NoFeedPosition), "{text}");
        }
    }
}
