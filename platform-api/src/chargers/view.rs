//! A charger as it is shown.

use std::collections::BTreeMap;

use charging::chargers::transfers::Transfer;
use charging::chargers::{self, Charger, Registration};
use charging::stations::charging_stations::{Evse, Station};
use charging::stations::connectors::ConnectorStatus;
use charging::{At, DbError, Tx};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A charger: a station as OCPP sees it
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Charger)]
pub(crate) struct ChargerView {
    /// Its OCPP name
    charger: String,
    station_id: Uuid,
    /// Where it is
    #[schema(required)]
    location_id: Option<Uuid>,
    // Inline, as the body of a registration has this name too.
    #[schema(inline)]
    registration: Registration,
    /// Whether it may connect
    enabled: bool,
    /// The lowest security profile that it may connect with
    security_profile: i64,
    /// Whether it may connect without naming a subprotocol
    assume_subprotocol: bool,
    /// How many minutes it is ahead of UTC
    clock_offset_minutes: i64,
    /// Whether it has a password
    has_password: bool,
    /// Whether it is connected
    online: bool,
    /// Since when it is connected; null if it is not
    #[schema(required)]
    connected_since: Option<At>,
    /// When it was last heard
    #[schema(required)]
    last_seen: Option<At>,
    /// The node of the gateway that holds its connection
    #[schema(required)]
    node: Option<Uuid>,
    /// The subprotocol of its last connection
    #[schema(required)]
    subprotocol: Option<String>,
    /// Raised by each connection
    epoch: i64,
    /// When its last connection ended
    #[schema(required)]
    disconnected_at: Option<At>,
    /// Why
    #[schema(required)]
    disconnect_reason: Option<String>,
    /// When it last booted
    #[schema(required)]
    booted_at: Option<At>,
    #[schema(required)]
    vendor: Option<String>,
    #[schema(required)]
    model: Option<String>,
    #[schema(required)]
    firmware: Option<String>,
    #[schema(required)]
    charge_point_serial: Option<String>,
    #[schema(required)]
    charge_box_serial: Option<String>,
    #[schema(required)]
    iccid: Option<String>,
    #[schema(required)]
    imsi: Option<String>,
    #[schema(required)]
    meter_type: Option<String>,
    #[schema(required)]
    meter_serial: Option<String>,
    /// How far its clock is ahead, in milliseconds
    #[schema(required)]
    clock_skew_ms: Option<i64>,
    /// How often what was taken leniently, by kind
    leniencies: BTreeMap<String, i64>,
    /// When it last asked for a certificate
    #[schema(required)]
    certificate_requested_at: Option<At>,
    /// How its files fare: `firmware`, `diagnostics`, `log`
    transfers: BTreeMap<&'static str, Transfer>,
    /// Its connectors, by number
    connectors: Vec<ConnectorView>,
}

/// A connector, as OCPP sees it
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChargerConnector)]
struct ConnectorView {
    /// OCPP's `connectorId`
    number: i64,
    evse_id: Uuid,
    /// The status, as the charger sent it last; null if it has sent none
    #[schema(required)]
    status: Option<ConnectorStatus>,
    /// Since when, by the charger's clock
    #[schema(required)]
    status_at: Option<At>,
}

impl ChargerView {
    /// A station, and its charger if that has ever connected or an operator has set something.
    pub(crate) fn of(Station { row, evses }: Station, charger: Option<Charger>) -> Self {
        let mut connectors: Vec<ConnectorView> = evses.into_iter().flat_map(ConnectorView::of).collect();
        connectors.sort_by_key(|connector| connector.number);
        let terms = charger.as_ref().map(Charger::terms).unwrap_or_default();
        let mut view = Self {
            charger: row.charger.unwrap_or_default(),
            station_id: row.id,
            location_id: row.location_id,
            registration: terms.registration,
            enabled: terms.enabled,
            security_profile: terms.security_profile,
            assume_subprotocol: terms.assume_subprotocol,
            clock_offset_minutes: terms.clock_offset_minutes,
            has_password: false,
            online: row.online,
            connected_since: None,
            last_seen: row.last_seen,
            node: None,
            subprotocol: None,
            epoch: 0,
            disconnected_at: None,
            disconnect_reason: None,
            booted_at: None,
            vendor: row.vendor,
            model: row.model,
            firmware: row.firmware,
            charge_point_serial: None,
            charge_box_serial: None,
            iccid: None,
            imsi: None,
            meter_type: None,
            meter_serial: None,
            clock_skew_ms: None,
            leniencies: BTreeMap::new(),
            certificate_requested_at: None,
            transfers: BTreeMap::new(),
            connectors,
        };
        if let Some(charger) = charger {
            view.add(charger);
        }
        view
    }

    /// The same for many.
    pub(crate) async fn all(tx: &mut Tx, stations: Vec<Station>) -> Result<Vec<Self>, DbError> {
        let ids: Vec<Uuid> = stations.iter().map(|station| station.row.id).collect();
        let mut chargers = chargers::of(tx, &ids).await?;
        let view = |station: Station| {
            let charger = chargers.remove(&station.row.id);
            Self::of(station, charger)
        };
        Ok(stations.into_iter().map(view).collect())
    }

    fn add(&mut self, charger: Charger) {
        self.has_password = charger.has_password;
        self.connected_since = charger.connected_at.filter(|_| self.online);
        self.node = charger.node_id;
        self.subprotocol = charger.subprotocol;
        self.epoch = charger.epoch;
        self.disconnected_at = charger.disconnected_at;
        self.disconnect_reason = charger.disconnect_reason;
        self.booted_at = charger.booted_at;
        self.charge_point_serial = charger.charge_point_serial;
        self.charge_box_serial = charger.charge_box_serial;
        self.iccid = charger.iccid;
        self.imsi = charger.imsi;
        self.meter_type = charger.meter_type;
        self.meter_serial = charger.meter_serial;
        self.clock_skew_ms = charger.clock_skew_ms;
        self.leniencies = charger.leniencies.0;
        self.certificate_requested_at = charger.certificate_requested_at;
        let transfers = charger.transfers.map(|transfers| transfers.0).unwrap_or_default();
        self.transfers = transfers.into_iter().map(|(kind, transfer)| (kind.as_str(), transfer)).collect();
    }
}

impl ConnectorView {
    fn of(evse: Evse) -> impl Iterator<Item = Self> {
        let evse_id = evse.row.id;
        evse.connectors.into_iter().map(move |connector| Self {
            number: connector.number,
            evse_id,
            status: connector.status,
            status_at: connector.status_at,
        })
    }
}
