//! How an event is written, and its schema.

use std::borrow::Cow;

use actix_web::web::Bytes;
use charging::accounts::sign_ins;
use charging::events::Event;
use charging::{At, Db, DbError};
use http_server::accounts::Account;
use http_server::{Caller, Problem};
use serde_json::json;
use utoipa::openapi::schema::{
    KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::permissions::{self, Reach};

/// The names of events on the stream.
pub(super) const NAMES: [&str; 10] = [
    "station",
    "charger",
    "connector",
    "session",
    "meter",
    "command",
    "decision",
    "reservation",
    "ticket",
    "payment",
];

/// Those that every account may see.
const OF_EVERYONE: [&str; 2] = ["station", "connector"];

/// An event as it is sent, written once for all streams.
pub(crate) struct Shown {
    pub(super) position: i64,
    name: Name,
    location: Option<Uuid>,
    pub(super) sse: Bytes,
    data: String,
}

/// A change of an account, which may end its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccountChange {
    account: Uuid,
    /// The sign-in that has ended; `None` if the account itself was changed.
    sign_in: Option<Uuid>,
}

/// Who reads a stream.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    /// Where the viewer sees what chargers send. Everyone sees the states of stations and connectors.
    reach: Reach,
    /// The account, with the roles that the reach is made of.
    account: Option<Account>,
    db: Db,
}

/// Which events a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names(u16);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name(usize);

impl Shown {
    /// `None` for a subject that the stream does not have.
    pub(super) fn of(event: &Event) -> Option<Self> {
        // Events of connectors travel among those of their charger.
        let word = match event.routing_key.as_str() {
            key if key.starts_with("charger.connector_") => "connector",
            _ => event.subject(),
        };
        let name = NAMES.iter().position(|name| *name == word)?;
        let (position, data) = (event.position, event.to_json());
        let sse = format!("id: {position}\nevent: {}\ndata: {data}\n\n", NAMES[name]).into();
        Some(Self { position, name: Name(name), location: event.location_id, sse, data })
    }

    /// The event as one message of a WebSocket.
    pub(super) fn message(&self) -> String {
        format!("{{\"id\":{},\"event\":\"{}\",\"data\":{}}}", self.position, NAMES[self.name.0], self.data)
    }
}

impl AccountChange {
    /// `None` for an event that ends no stream.
    pub(super) fn of(event: &Event) -> Option<Self> {
        if !["account.signed_out", "account.updated", "account.erased"].contains(&event.routing_key.as_str())
        {
            return None;
        }
        let id = |name: &str| event.data.get(name)?.as_str()?.parse().ok();
        Some(Self { account: id("account_id")?, sign_in: id("sign_in_id") })
    }
}

impl Viewer {
    pub(super) fn of(caller: &Caller, db: &Db) -> Self {
        Self {
            reach: Reach::of(caller, permissions::SEE_STATUS_LOG),
            account: caller.account.clone(),
            db: db.clone(),
        }
    }

    /// Whether the viewer may see the event.
    pub(super) fn sees(&self, shown: &Shown) -> bool {
        OF_EVERYONE.contains(&NAMES[shown.name.0]) || self.reach.covers(shown.location)
    }

    /// Whether the stream may have to end: the sign-in has ended, or the account was changed.
    pub(super) fn is_concerned_by(&self, change: AccountChange) -> bool {
        self.account.as_ref().is_some_and(|account| {
            change.account == account.id && change.sign_in.is_none_or(|ended| ended == account.sign_in)
        })
    }

    /// Whether the sign-in goes on, and the account has the roles still that the stream began with.
    pub(super) async fn is_current(&self) -> Result<bool, DbError> {
        let Some(account) = &self.account else { return Ok(true) };
        let (id, sign_in) = (account.id, account.sign_in);
        let roles = self.db.read(async move |tx| sign_ins::roles(tx, id, sign_in).await).await?;
        Ok(roles.as_ref() == Some(&account.roles))
    }
}

impl Names {
    /// All, or those that the parameter lists.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self(u16::MAX)) };
        let place = |word: &str| NAMES.iter().position(|name| *name == word.trim());
        let places: Option<Vec<usize>> = text.split(',').map(place).collect();
        let expected = || {
            Problem::invalid("events", format!("expected some of {}, separated by commas", NAMES.join(", ")))
        };
        let places = places.ok_or_else(expected)?;
        Ok(Self(places.into_iter().fold(0, |all, place| all | 1 << place)))
    }

    pub(super) fn contain(self, shown: &Shown) -> bool {
        self.0 & (1 << shown.name.0) != 0
    }
}

/// Events may be missing at this point; the client should read the lists again.
pub(super) fn reset(position: i64) -> String {
    format!("id: {position}\nevent: reset\ndata: {}\n\n", reset_data())
}

/// The same for a WebSocket.
pub(super) fn reset_message(position: i64) -> String {
    format!("{{\"id\":{position},\"event\":\"reset\",\"data\":{}}}", reset_data())
}

fn reset_data() -> serde_json::Value {
    json!({"at": At::now(), "detail": "events may be missing here: read the lists again"})
}

/// One event, in the document.
pub(crate) struct LiveEvent;

impl PartialSchema for LiveEvent {
    fn schema() -> RefOr<Schema> {
        let either = ["HappenedEvent", "ResetEvent"].map(Ref::from_schema_name);
        let either = either.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item);
        Schema::OneOf(either.description(Some("One event of the stream")).build()).into()
    }
}

impl ToSchema for LiveEvent {
    fn name() -> Cow<'static, str> {
        "LiveEvent".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let uuid = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
        let moment = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        let happened = ObjectBuilder::new()
            .property("id", number.description(Some("The position of the event; grows")))
            .property("type", text().description(Some("What happened, such as `station.updated`")))
            .property("at", moment().description(Some("When it happened")))
            .property("station_id", uuid())
            .property("location_id", uuid())
            .required("id")
            .required("type")
            .required("at")
            .description(Some("Something that happened, with the ids of what it is about"));
        let reset = ObjectBuilder::new()
            .property("at", moment())
            .property("detail", text())
            .required("at")
            .required("detail")
            .description(Some("Events may be missing at this point of the stream"));
        let named = event(&NAMES, "Happened", "Something that happened").required("id");
        let of_reset =
            event(&["reset"], "Reset", "Events may be missing here: read the lists again").required("id");
        for (name, schema) in
            [("Happened", happened), ("Reset", reset), ("HappenedEvent", named), ("ResetEvent", of_reset)]
        {
            schemas.push((name.to_owned(), schema.build().into()));
        }
    }
}

/// The fields of an event of these names, whose data is JSON.
fn event(names: &[&str], data: &str, about: &str) -> ObjectBuilder {
    let text = || ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    let data =
        text().content_media_type("application/json").content_schema(Some(Ref::from_schema_name(data)));
    ObjectBuilder::new()
        .property("event", text().enum_values(Some(names.iter().copied().map(serde_json::Value::from))))
        .property(
            "id",
            text()
                .pattern(Some("^[0-9]+$"))
                .description(Some("The value of `Last-Event-ID` to continue after this event")),
        )
        .property("data", data)
        .required("event")
        .required("data")
        .description(Some(about))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: i64, routing_key: &str) -> Event {
        let data = json!({"status": "Charging"}).into();
        let at = "2027-01-01T00:00:00Z".parse().unwrap();
        Event { position, routing_key: routing_key.to_owned(), station_id: None, location_id: None, data, at }
    }

    #[test]
    fn an_event_is_written_with_its_name_and_its_data() {
        let shown = Shown::of(&event(7, "charger.connector_status")).unwrap();
        let data =
            r#"{"id":7,"type":"charger.connector_status","at":"2027-01-01T00:00:00Z","status":"Charging"}"#;
        assert_eq!(shown.sse, format!("id: 7\nevent: connector\ndata: {data}\n\n"));
        assert_eq!(shown.message(), format!(r#"{{"id":7,"event":"connector","data":{data}}}"#));
    }

    #[test]
    fn a_stream_has_the_events_that_were_asked_for() {
        assert!(Shown::of(&event(1, "invoice.issued")).is_none());
        let station = Shown::of(&event(1, "station.created")).unwrap();
        for (events, has) in
            [(None, true), (Some(""), true), (Some("station,meter"), true), (Some("charger"), false)]
        {
            assert_eq!(Names::parse(events).unwrap().contain(&station), has, "{events:?}");
        }
        assert!(Names::parse(Some("stations")).is_err());
    }
}
