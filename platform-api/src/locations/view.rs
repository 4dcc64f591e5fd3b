//! A location as it is shown, and its change as it is documented.

use charging::At;
use charging::stations::locations::Location;
use charging::stations::{BookingTerms, Coordinates, Country, Label, LocationDraft, OpeningTimes, TimeZone};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// A site with charging stations
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Location)]
pub(crate) struct LocationView {
    /// Its id
    id: Uuid,
    /// Its name
    name: Label,
    /// Street and number
    address: Label,
    /// The postal code
    #[schema(required)]
    postal_code: Option<Label>,
    /// The city
    city: Label,
    /// The country
    country: Country,
    /// Where it is
    coordinates: Coordinates,
    /// Its time zone
    time_zone: TimeZone,
    /// When it is open; at all times if null
    #[schema(required)]
    opening_times: Option<OpeningTimes>,
    /// The tariff of its stations that have none of their own
    #[schema(required)]
    tariff_id: Option<Uuid>,
    /// The terms of bookings; if null, nothing can be booked here
    #[schema(required)]
    booking_terms: Option<BookingTerms>,
    /// When it was created
    created_at: At,
    /// When it was last changed
    updated_at: At,
    /// The distance from the point of the search, in metres
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    distance_m: Option<i64>,
}

impl LocationView {
    pub(crate) fn of(location: &Location) -> Self {
        let draft = location.draft.clone();
        Self {
            id: location.id,
            name: draft.name,
            address: draft.address,
            postal_code: draft.postal_code,
            city: draft.city,
            country: draft.country,
            coordinates: draft.coordinates,
            time_zone: draft.time_zone,
            opening_times: draft.opening_times,
            tariff_id: draft.tariff_id,
            booking_terms: draft.booking_terms,
            created_at: location.created_at,
            updated_at: location.updated_at,
            distance_m: None,
        }
    }

    pub(crate) fn at_distance(location: &Location, metres: i64) -> Self {
        Self { distance_m: Some(metres), ..Self::of(location) }
    }
}

/// The members of a location's draft, each optional. Only documentation: a change is merged before it is parsed.
pub(crate) struct LocationChange;

impl PartialSchema for LocationChange {
    fn schema() -> RefOr<Schema> {
        crate::openapi::all_optional(LocationDraft::schema())
    }
}

impl ToSchema for LocationChange {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        <LocationDraft as ToSchema>::schemas(schemas);
    }
}
