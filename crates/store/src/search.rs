//! Record search by station, driver, decision and time, newest first; and the feed of decisions as they are made.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use async_trait::async_trait;
use common::clock::Nanos;
use common::decision::Decision;
use common::ids::{RequestId, StationId};
use uuid::Uuid;

use crate::{DeliveryState, Record, StoreError};

/// Maximum records examined for one page, however few of them match.
const EXAMINED: usize = 250;

/// The index of the records, and the feed of decisions.
#[async_trait]
pub trait Search: Send + Sync {
    /// A page of the matching records, newest first, starting after a place. The work for a page is bounded, so a page
    /// may be shorter than its limit, even empty, and still have a next page.
    async fn list(&self, filter: &Filter, after: Option<Place>, limit: usize) -> Result<Found, StoreError>;

    /// The current end of the feed of decisions.
    async fn feed_end(&self) -> Result<FeedPosition, StoreError>;

    /// Whether the feed still holds this position, so that no later decision is missing.
    async fn feed_holds(&self, position: FeedPosition) -> Result<bool, StoreError>;

    /// The decisions after this position, in the order in which they were recorded: a decision never appears before a
    /// position already read. A decision may appear twice.
    async fn feed_after(&self, position: FeedPosition, limit: usize) -> Result<Fed, StoreError>;
}

/// Selects records. An absent field matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Records of this station.
    pub station_id: Option<StationId>,
    /// Records of this driver token, as presented.
    pub driver_token: Option<common::ids::PresentedToken>,
    /// Records with this decision.
    pub status: Option<Decision>,
    /// Records in this delivery state.
    pub delivery: Option<DeliveryState>,
    /// Requested at this moment or later.
    pub from_ns: Option<Nanos>,
    /// Requested before this moment.
    pub to_ns: Option<Nanos>,
}

/// A place in the order of all records: by the time of the client's call, then by id. It holds no personal data, so it
/// can be a cursor in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the client called.
    pub start_ns: Nanos,
    /// The request.
    pub request_id: RequestId,
}

/// The text is not a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the `cursor` of the previous page")]
pub struct NoPlace;

/// A page of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The newest first.
    pub records: Vec<Record>,
    /// The place where the next page begins; `None` at the end.
    pub next: Option<Place>,
}

/// A position in the feed of decisions, in the form of a Redis stream id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    /// In Redis milliseconds since 1970; in the embedded store always 0.
    pub ms: u64,
    /// A counter within the millisecond.
    pub seq: u64,
}

/// The text is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of an event of this stream")]
pub struct NoFeedPosition;

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// The records in the feed's order.
    pub records: Vec<(FeedPosition, Record)>,
    /// The position read up to.
    pub position: FeedPosition,
    /// Whether there may be more already.
    pub more: bool,
}

/// A page while it is being filled.
pub(crate) struct PageBuilder<'a> {
    filter: &'a Filter,
    limit: usize,
    examined: usize,
    records: Vec<Record>,
}

// === impl Filter ===

impl Filter {
    /// Whether the record matches.
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

    /// Bytes that sort in the order of places.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.start_ns.to_be_bytes());
        bytes[8..].copy_from_slice(self.request_id.uuid().as_bytes());
        bytes
    }

    /// The reverse; returns `None` for any other number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (start, id) = bytes.split_at_checked(8)?;
        Some(Self {
            start_ns: u64::from_be_bytes(start.try_into().ok()?),
            request_id: RequestId::from_uuid(Uuid::from_slice(id).ok()?),
        })
    }

    /// The place before every record that began then or later.
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

// === impl PageBuilder ===

impl<'a> PageBuilder<'a> {
    pub(crate) fn new(filter: &'a Filter, limit: usize) -> Self {
        Self { filter, limit, examined: 0, records: Vec::new() }
    }

    /// The delivery state that the filter asks for.
    pub(crate) fn delivery(&self) -> Option<DeliveryState> {
        self.filter.delivery
    }

    /// Adds the record if it matches. Returns `Break` when the page is full or has reached its cost limit.
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
