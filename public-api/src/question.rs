//! What a client asks, whichever endpoint it asks by.

use common::address_guard::AddressGuard;
use common::callback_url::{CallbackUrl, CallbackUrlError};
use common::clock::Nanos;
use common::ids::{PresentedToken, StationId};

/// The time of a request, and its deadline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTime {
    pub(crate) at: Nanos,
    pub(crate) deadline: Nanos,
}

/// A question that will be decided. If its token is malformed, the decision says so.
pub(crate) struct Question {
    pub(crate) station_id: StationId,
    pub(crate) driver_token: PresentedToken,
    pub(crate) callback_url: String,
}

impl Question {
    /// Rejects what is known at once to be unanswerable.
    pub(crate) fn new(
        guard: &AddressGuard,
        station_id: StationId,
        driver_token: PresentedToken,
        callback_url: String,
    ) -> Result<Self, CallbackUrlError> {
        CallbackUrl::parse(&callback_url, guard)?;
        Ok(Self { station_id, driver_token, callback_url })
    }
}
