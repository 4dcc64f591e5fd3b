//! What an import of tokens has done.

use serde::Serialize;
use utoipa::ToSchema;

use crate::network::{Count, RefusedLine, Tally};

/// The results of an import of tokens
#[derive(Debug, Serialize, Default, ToSchema)]
#[schema(as = TokenImportReport)]
pub(super) struct Report {
    /// Lines read, including empty ones
    pub(super) lines: u64,
    /// Lines that could be applied
    pub(super) valid: u64,
    /// Lines that were refused
    pub(super) refused: u64,
    /// What became of the tokens
    pub(super) tokens: Tally,
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
    /// The codes that were issued, to be printed on the cards. They are shown once
    pub(super) bind_codes: Vec<LineCode>,
}

/// A code that was issued for a card
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportedBindCode)]
pub(super) struct LineCode {
    /// The number of the line
    pub(super) line: u64,
    /// The token
    pub(super) token_id: uuid::Uuid,
    /// The code
    pub(super) bind_code: String,
}

impl Report {
    pub(super) fn applied(&mut self, line: u64, count: Count) {
        self.valid += 1;
        self.tokens.add(count);
        self.applied_through_line = line;
    }

    pub(super) fn refuse(&mut self, line: u64, field: &str, reason: &str, max_refusals: usize) {
        self.refused += 1;
        if self.refusals.len() < max_refusals {
            self.refusals.push(RefusedLine::new(line, field, reason));
        } else {
            self.refusals_not_named += 1;
        }
    }
}
