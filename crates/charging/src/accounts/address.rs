//! The address of a person or a company, for invoices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stations::{Country, Label};

/// An address, for invoices
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Street and number
    pub line1: Label,
    /// Postal code
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<Label>,
    /// City
    pub city: Label,
    /// Country
    pub country: Country,
}
