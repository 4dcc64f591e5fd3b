//! The EVSEs of a station, and their connectors.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::{At, DbError, Tx, filled, on, row, statements};
use crate::stations::connectors::{ConnectorStatus, EvseStatus, Format, PowerType, Standard};
use crate::stations::error::{Refused, StationError, within};
use crate::stations::id;

statements! {
    EVSES = "SELECT id, station_id, number, tariff_id, status, status_at FROM evses \
             WHERE station_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ORDER BY station_id, number";
    CONNECTORS = "SELECT id, station_id, evse_id, number, standard, format, power_type, max_power_w, status, status_at \
                  FROM connectors WHERE station_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ORDER BY station_id, number";
    /// Numbers may change places, and must be unique after each statement.
    MOVE_EVSES = "UPDATE evses SET number = -number WHERE station_id = $1";
    MOVE_CONNECTORS = "UPDATE connectors SET number = -number WHERE station_id = $1";
    SET_EVSE = "INSERT INTO evses (id, station_id, number, tariff_id, status, claims) VALUES ($1, $2, $3, $4, $5, 0) \
                ON CONFLICT (id) DO UPDATE SET number = excluded.number, tariff_id = excluded.tariff_id \
                WHERE evses.station_id = excluded.station_id";
    SET_CONNECTOR = "INSERT INTO connectors (id, station_id, evse_id, number, standard, format, power_type, max_power_w) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET evse_id = excluded.evse_id, \
                     number = excluded.number, standard = excluded.standard, format = excluded.format, \
                     power_type = excluded.power_type, max_power_w = excluded.max_power_w \
                     WHERE connectors.station_id = excluded.station_id";
    FORGET_EVSES = "DELETE FROM evses WHERE station_id = $1 AND number < 0";
    FORGET_CONNECTORS = "DELETE FROM connectors WHERE station_id = $1 AND number < 0";
    /// What a connector repeats of its station and its EVSE, so that a search looks in one place.
    ALIGN = "UPDATE connectors SET location_id = s.location_id, evse_status = e.status \
             FROM stations s, evses e WHERE connectors.station_id = $1 AND s.id = connectors.station_id AND e.id = connectors.evse_id \
             AND (connectors.location_id IS DISTINCT FROM s.location_id OR connectors.evse_status IS DISTINCT FROM e.status)";
    SET_EVSE_STATUS = "UPDATE evses SET status = $2, status_at = $3 WHERE id = $1";
}

/// The parameters of `EVSES` and `CONNECTORS`.
const AT_ONCE: usize = 10;
pub(super) const MAX_EVSES: usize = 64;
const MAX_CONNECTORS: usize = 256;
/// Half of an electric locomotive. More is a slip of units.
const MAX_POWER_W: i64 = 5_000_000;

/// An EVSE, as an operator writes it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvseDraft {
    /// Its id; a new one unless given, or that of the EVSE of this number
    #[serde(default, deserialize_with = "id::optional", skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Its number at the station; its place in the list unless given
    #[schema(minimum = 1, maximum = 256)]
    pub number: Option<i64>,
    /// Its tariff; that of the station if absent
    #[serde(default, deserialize_with = "id::optional")]
    pub tariff_id: Option<Uuid>,
    /// Its connectors, of which one can be used at a time
    #[schema(min_items = 1)]
    pub connectors: Vec<ConnectorDraft>,
}

/// A connector, as an operator writes it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorDraft {
    /// Its id; a new one unless given, or that of the connector of this number
    #[serde(default, deserialize_with = "id::optional", skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// OCPP's `connectorId`; its place among all connectors of the station unless given
    #[schema(minimum = 1, maximum = 256)]
    pub number: Option<i64>,
    /// The kind of plug or socket
    pub standard: Standard,
    /// Socket or cable
    pub format: Format,
    /// The kind of current
    pub power_type: PowerType,
    /// The maximum power in watts
    #[schema(minimum = 1, maximum = 5_000_000)]
    pub max_power_w: i64,
}

/// An EVSE, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evse {
    /// What is in its own row.
    pub row: EvseRow,
    /// Its connectors, by number.
    pub connectors: Vec<Connector>,
}

row! {
    /// The row of an EVSE.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct EvseRow {
        /// Its id.
        pub id: Uuid,
        /// Its station.
        pub station_id: Uuid,
        /// Its number at the station.
        pub number: i64,
        /// Its tariff.
        pub tariff_id: Option<Uuid>,
        /// Its status.
        pub status: EvseStatus,
        /// Since when.
        pub status_at: Option<At>,
    }
}

row! {
    /// A connector.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Connector {
        /// Its id.
        pub id: Uuid,
        /// Its station.
        pub station_id: Uuid,
        /// Its EVSE.
        pub evse_id: Uuid,
        /// OCPP's `connectorId`.
        pub number: i64,
        /// The kind of plug or socket.
        pub standard: Standard,
        /// Socket or cable.
        pub format: Format,
        /// The kind of current.
        pub power_type: PowerType,
        /// The maximum power in watts.
        pub max_power_w: i64,
        /// The status, as the charger sent it last.
        pub status: Option<ConnectorStatus>,
        /// Since when, by the charger's clock.
        pub status_at: Option<At>,
    }
}

impl Evse {
    pub(super) fn draft(&self) -> EvseDraft {
        let connector = |connector: &Connector| ConnectorDraft {
            id: Some(connector.id),
            number: Some(connector.number),
            standard: connector.standard,
            format: connector.format,
            power_type: connector.power_type,
            max_power_w: connector.max_power_w,
        };
        EvseDraft {
            id: Some(self.row.id),
            number: Some(self.row.number),
            tariff_id: self.row.tariff_id,
            connectors: self.connectors.iter().map(connector).collect(),
        }
    }
}

/// The drafts with the number of each EVSE and connector.
type Numbered<'a> = Vec<(i64, &'a EvseDraft, Vec<(i64, &'a ConnectorDraft)>)>;

fn numbered(drafts: &[EvseDraft]) -> Numbered<'_> {
    let mut place = 0;
    let of_evse = |(index, draft)| {
        let draft: &EvseDraft = draft;
        let connectors = draft.connectors.iter().map(|connector| {
            place += 1;
            (connector.number.unwrap_or(place), connector)
        });
        let number = draft.number.unwrap_or_else(|| i64::try_from(index).unwrap_or_default() + 1);
        (number, draft, connectors.collect())
    };
    drafts.iter().enumerate().map(of_evse).collect()
}

/// Fills in numbers, and the ids of EVSEs and connectors with the same numbers, where the drafts have none.
pub(super) fn name_as(drafts: &mut [EvseDraft], before: &[EvseDraft]) {
    let evses: HashMap<Option<i64>, Option<Uuid>> =
        before.iter().map(|evse| (evse.number, evse.id)).collect();
    let connectors = before.iter().flat_map(|evse| &evse.connectors);
    let connectors: HashMap<Option<i64>, Option<Uuid>> =
        connectors.map(|connector| (connector.number, connector.id)).collect();
    let named: BTreeSet<Uuid> = ids_of(drafts).collect();
    let id_of = |given: Option<Uuid>, known: Option<&Option<Uuid>>| {
        given.or_else(|| known.copied().flatten().filter(|id| !named.contains(id)))
    };
    let mut place = 0;
    for (index, evse) in (1..).zip(drafts) {
        let number = *evse.number.get_or_insert(index);
        evse.id = id_of(evse.id, evses.get(&Some(number)));
        for connector in &mut evse.connectors {
            place += 1;
            let number = *connector.number.get_or_insert(place);
            connector.id = id_of(connector.id, connectors.get(&Some(number)));
        }
    }
}

/// The ids that the drafts name.
fn ids_of(drafts: &[EvseDraft]) -> impl Iterator<Item = Uuid> {
    let of_evse = |evse: &EvseDraft| {
        evse.id
            .into_iter()
            .chain(evse.connectors.iter().filter_map(|connector| connector.id))
            .collect::<Vec<_>>()
    };
    drafts.iter().flat_map(of_evse)
}

/// Checks what the types do not: bounds, and that each number and id is there once.
pub(super) fn check(drafts: &[EvseDraft]) -> Result<(), Refused> {
    if drafts.len() > MAX_EVSES {
        return Err(Refused::new("evses", format!("expected {MAX_EVSES} EVSEs at most")));
    }
    let (mut evses, mut connectors, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let twice = |place: String, what: &str| Err(Refused::new(place, format!("another {what} has this one")));
    for (index, (number, draft, its)) in numbered(drafts).into_iter().enumerate() {
        let place = format!("evses.{index}");
        within(format!("{place}.number"), number, 1..=256)?;
        if !evses.insert(number) {
            return twice(format!("{place}.number"), "EVSE");
        }
        if draft.id.is_some_and(|id| !ids.insert(id)) {
            return twice(format!("{place}.id"), "EVSE");
        }
        if its.is_empty() {
            return Err(Refused::new(format!("{place}.connectors"), "expected at least one connector"));
        }
        for (index, (number, connector)) in its.into_iter().enumerate() {
            let place = format!("{place}.connectors.{index}");
            within(format!("{place}.number"), number, 1..=256)?;
            within(format!("{place}.max_power_w"), connector.max_power_w, 1..=MAX_POWER_W)?;
            if !connectors.insert(number) {
                return twice(format!("{place}.number"), "connector of the station");
            }
            if connector.id.is_some_and(|id| !ids.insert(id)) {
                return twice(format!("{place}.id"), "connector or EVSE");
            }
        }
    }
    if connectors.len() > MAX_CONNECTORS {
        return Err(Refused::new("evses", format!("expected {MAX_CONNECTORS} connectors at most")));
    }
    Ok(())
}

/// The EVSEs of these stations.
pub(super) async fn of(tx: &mut Tx, stations: &[Uuid]) -> Result<HashMap<Uuid, Vec<Evse>>, DbError> {
    let mut all: HashMap<Uuid, Vec<Evse>> = HashMap::with_capacity(stations.len());
    for some in stations.chunks(AT_ONCE) {
        let ids = || filled::<AT_ONCE>(some.iter().copied());
        let evses: Vec<EvseRow> =
            on!(tx, |c| ids().fold(sqlx::query_as(EVSES), sqlx::query::QueryAs::bind).fetch_all(c).await)?;
        let connectors: Vec<Connector> = on!(tx, |c| ids()
            .fold(sqlx::query_as(CONNECTORS), sqlx::query::QueryAs::bind)
            .fetch_all(c)
            .await)?;
        let mut by_evse: HashMap<Uuid, Vec<Connector>> = HashMap::with_capacity(evses.len());
        for connector in connectors {
            by_evse.entry(connector.evse_id).or_default().push(connector);
        }
        for row in evses {
            let connectors = by_evse.remove(&row.id).unwrap_or_default();
            all.entry(row.station_id).or_default().push(Evse { row, connectors });
        }
    }
    Ok(all)
}

/// Replaces the EVSEs of a station. The drafts are checked, and the transaction holds the station's row.
pub(super) async fn set(tx: &mut Tx, station: Uuid, drafts: &[EvseDraft]) -> Result<(), StationError> {
    let before = of(tx, &[station]).await?.remove(&station).unwrap_or_default();
    replace(tx, station, drafts, &before).await
}

/// Adds the EVSEs of a new station. The drafts are checked.
pub(super) async fn add(tx: &mut Tx, station: Uuid, drafts: &[EvseDraft]) -> Result<(), StationError> {
    replace(tx, station, drafts, &[]).await
}

async fn replace(
    tx: &mut Tx,
    station: Uuid,
    drafts: &[EvseDraft],
    before: &[Evse],
) -> Result<(), StationError> {
    let mut drafts = drafts.to_vec();
    name_as(&mut drafts, &before.iter().map(Evse::draft).collect::<Vec<_>>());
    if !before.is_empty() {
        for statement in [MOVE_EVSES, MOVE_CONNECTORS] {
            on!(tx, |c| sqlx::query(statement).bind(station).execute(c).await.map(drop))
                .map_err(DbError::from)?;
        }
    }
    for (index, (number, draft, connectors)) in numbered(&drafts).into_iter().enumerate() {
        let evse = draft.id.unwrap_or_else(Uuid::now_v7);
        let set = on!(tx, |c| {
            let query = sqlx::query(SET_EVSE).bind(evse).bind(station).bind(number).bind(draft.tariff_id);
            query.bind(EvseStatus::Unknown).execute(c).await.map(|done| done.rows_affected())
        })
        .map_err(DbError::from)?;
        if set == 0 {
            return Err(StationError::conflict(
                format!("evses.{index}.id"),
                "another station has an EVSE with this id",
            ));
        }
        for (nth, (number, draft)) in connectors.into_iter().enumerate() {
            let set = on!(tx, |c| {
                let id = draft.id.unwrap_or_else(Uuid::now_v7);
                let query = sqlx::query(SET_CONNECTOR).bind(id).bind(station).bind(evse).bind(number);
                let query = query.bind(draft.standard).bind(draft.format).bind(draft.power_type);
                query.bind(draft.max_power_w).execute(c).await.map(|done| done.rows_affected())
            })
            .map_err(DbError::from)?;
            if set == 0 {
                let place = format!("evses.{index}.connectors.{nth}.id");
                return Err(StationError::conflict(place, "another station has a connector with this id"));
            }
        }
    }
    if !before.is_empty() {
        for statement in [FORGET_CONNECTORS, FORGET_EVSES] {
            on!(tx, |c| sqlx::query(statement).bind(station).execute(c).await.map(drop))
                .map_err(DbError::from)?;
        }
        follow_connectors(tx, station, before).await?;
    }
    align(tx, station).await?;
    Ok(())
}

/// Makes what connectors repeat of their station and their EVSEs true again, after a change of these.
pub(super) async fn align(tx: &mut Tx, station: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(ALIGN).bind(station).execute(c).await.map(drop))?;
    Ok(())
}

/// Sets the statuses of EVSEs that have other connectors than before.
async fn follow_connectors(tx: &mut Tx, station: Uuid, before: &[Evse]) -> Result<(), DbError> {
    fn connectors(evse: &Evse) -> BTreeSet<Uuid> {
        evse.connectors.iter().map(|connector| connector.id).collect()
    }
    let before: HashMap<Uuid, BTreeSet<Uuid>> =
        before.iter().map(|evse| (evse.row.id, connectors(evse))).collect();
    for evse in of(tx, &[station]).await?.remove(&station).unwrap_or_default() {
        if before.get(&evse.row.id) == Some(&connectors(&evse)) {
            continue;
        }
        let status = EvseStatus::of(evse.connectors.iter().map(|connector| connector.status));
        let at = evse.connectors.iter().filter_map(|connector| connector.status_at).max();
        set_evse_status(tx, evse.row.id, status, at).await?;
    }
    Ok(())
}

pub(super) async fn set_evse_status(
    tx: &mut Tx,
    evse: Uuid,
    status: EvseStatus,
    at: Option<At>,
) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(SET_EVSE_STATUS).bind(evse).bind(status).bind(at).execute(c).await.map(drop))?;
    Ok(())
}
