//! What an import has done.

use serde::Serialize;
use utoipa::ToSchema;

/// The results of an import
#[derive(Debug, Serialize, Default, ToSchema)]
#[schema(as = ImportReport)]
pub(super) struct Report {
    /// Lines read, including empty ones; of a JSON body, its locations and stations without a location
    pub(super) lines: u64,
    /// Lines that could be applied
    pub(super) valid: u64,
    /// Lines that were refused
    pub(super) refused: u64,
    /// What became of the locations
    pub(super) locations: Tally,
    /// What became of the stations
    pub(super) stations: Tally,
    /// Every valid line up to this one is applied
    pub(super) applied_through_line: u64,
    /// Whether the whole body was read
    pub(super) complete: bool,
    /// Whether nothing was changed, because it was not asked for
    pub(super) dry_run: bool,
    /// The first refused lines
    pub(super) refusals: Vec<RefusedLine>,
    /// How many more lines were refused than `refusals` lists
    pub(super) refusals_not_named: u64,
}

/// How many were created, changed, or were already as the import has them
#[derive(Debug, Serialize, Default, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = ImportTally)]
pub(crate) struct Tally {
    created: u64,
    changed: u64,
    unchanged: u64,
}

/// A line that was refused
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusedNetworkLine)]
pub(crate) struct RefusedLine {
    /// Its number
    line: u64,
    /// The member or the column at fault
    field: String,
    /// What is wrong with it
    reason: String,
}

/// What one location and its stations have become.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) locations: Tally,
    pub(super) stations: Tally,
}

/// What became of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Created,
    Changed,
    Unchanged,
}

impl Tally {
    pub(crate) fn add(&mut self, count: Count) {
        match count {
            Count::Created => self.created += 1,
            Count::Changed => self.changed += 1,
            Count::Unchanged => self.unchanged += 1,
        }
    }

    fn add_all(&mut self, other: Self) {
        self.created += other.created;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
    }
}

impl RefusedLine {
    pub(crate) fn new(line: u64, field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { line, field: field.into(), reason: reason.into() }
    }
}

impl Report {
    pub(super) fn applied(&mut self, lines: u64, counts: Counts) {
        self.valid += lines;
        self.locations.add_all(counts.locations);
        self.stations.add_all(counts.stations);
    }

    pub(super) fn refuse(&mut self, line: u64, field: String, reason: String, max_refusals: usize) {
        self.refused += 1;
        if self.refusals.len() < max_refusals {
            self.refusals.push(RefusedLine::new(line, field, reason));
        } else {
            self.refusals_not_named += 1;
        }
    }
}
