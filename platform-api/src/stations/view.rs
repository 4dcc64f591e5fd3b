//! A station as it is shown. Strangers do not see its charger.

use charging::At;
use charging::stations::StationDraft;
use charging::stations::charging_stations::{Connector, Evse, Station};
use charging::stations::connectors::{Access, ConnectorStatus, EvseStatus, Format, PowerType, Standard};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// A charging station
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Station)]
pub(crate) struct StationView {
    /// Its id, which the access lists know as `station_id`
    id: Uuid,
    /// Where it is
    #[schema(required)]
    location_id: Option<Uuid>,
    /// Its name
    #[schema(required)]
    name: Option<String>,
    /// Who may charge here
    access: Access,
    /// Its tariff; that of the location if null
    #[schema(required)]
    tariff_id: Option<Uuid>,
    /// Its EVSEs, by number
    evses: Vec<EvseView>,
    /// Whether its charger is connected
    online: bool,
    /// When it was created
    created_at: At,
    /// When it was last changed
    updated_at: At,
    /// Its OCPP name; absent for strangers, like the members that follow
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    charger: Shown<String>,
    /// The vendor, as the charger says
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    vendor: Shown<String>,
    /// The model, as the charger says
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    model: Shown<String>,
    /// The version of its firmware, as the charger says
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    firmware: Shown<String>,
    /// When the charger was last heard
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<At>, required = false)]
    last_seen: Shown<At>,
}

/// A value that may be null, or not shown at all.
type Shown<T> = Option<Option<T>>;

/// A part of a station that charges one vehicle at a time
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Evse)]
struct EvseView {
    /// Its id
    id: Uuid,
    /// Its number at the station
    number: i64,
    /// Its tariff; that of the station if null
    #[schema(required)]
    tariff_id: Option<Uuid>,
    /// Its status
    status: EvseStatus,
    /// Since when
    #[schema(required)]
    status_at: Option<At>,
    /// Its connectors, by number
    connectors: Vec<ConnectorView>,
}

/// A plug or a socket
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connector)]
struct ConnectorView {
    /// Its id
    id: Uuid,
    /// OCPP's `connectorId`
    number: i64,
    /// The kind of plug or socket
    standard: Standard,
    /// Socket or cable
    format: Format,
    /// The kind of current
    power_type: PowerType,
    /// The maximum power in watts
    max_power_w: i64,
    /// The status, as the charger sent it last; null if it has sent none
    #[schema(required)]
    status: Option<ConnectorStatus>,
    /// Since when, by the charger's clock
    #[schema(required)]
    status_at: Option<At>,
}

impl StationView {
    pub(crate) fn of(station: Station, sees_charger: bool) -> Self {
        let Station { row, evses } = station;
        Self {
            id: row.id,
            location_id: row.location_id,
            name: row.name,
            access: row.access,
            tariff_id: row.tariff_id,
            evses: evses.into_iter().map(EvseView::from).collect(),
            online: row.online,
            created_at: row.created_at,
            updated_at: row.updated_at,
            charger: sees_charger.then_some(row.charger),
            vendor: sees_charger.then_some(row.vendor),
            model: sees_charger.then_some(row.model),
            firmware: sees_charger.then_some(row.firmware),
            last_seen: sees_charger.then_some(row.last_seen),
        }
    }
}

impl From<Evse> for EvseView {
    fn from(Evse { row, connectors }: Evse) -> Self {
        Self {
            id: row.id,
            number: row.number,
            tariff_id: row.tariff_id,
            status: row.status,
            status_at: row.status_at,
            connectors: connectors.into_iter().map(ConnectorView::from).collect(),
        }
    }
}

impl From<Connector> for ConnectorView {
    fn from(connector: Connector) -> Self {
        Self {
            id: connector.id,
            number: connector.number,
            standard: connector.standard,
            format: connector.format,
            power_type: connector.power_type,
            max_power_w: connector.max_power_w,
            status: connector.status,
            status_at: connector.status_at,
        }
    }
}

/// The members of a station's draft, each optional. Only documentation: a change is merged before it is parsed.
pub(crate) struct StationChange;

impl PartialSchema for StationChange {
    fn schema() -> RefOr<Schema> {
        crate::openapi::all_optional(StationDraft::schema())
    }
}

impl ToSchema for StationChange {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        <StationDraft as ToSchema>::schemas(schemas);
    }
}
