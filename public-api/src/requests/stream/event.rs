//! The events of the stream: how each is written, and its schema.

use std::borrow::Cow;

use serde_json::json;
use store::{FeedPosition, Record};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::requests::RequestView;

pub(super) const GAP: &str =
    "event: gap\ndata: {\"detail\":\"decisions may be missing here: see GET /requests\"}\n\n";

/// The text of a decision's event.
pub(super) fn decision(position: FeedPosition, record: Record) -> String {
    let shown = serde_json::to_string(&RequestView::from(record)).unwrap_or_default();
    format!("id: {position}\nevent: decision\ndata: {shown}\n\n")
}

/// One event, in the document. Text between events that has no data is not an event for a client: it only moves the
/// last event's id.
pub(super) struct StreamEvent;

impl PartialSchema for StreamEvent {
    fn schema() -> RefOr<Schema> {
        let either = ["DecisionEvent", "GapEvent"].map(Ref::from_schema_name);
        let either = either.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item);
        Schema::OneOf(either.description(Some("One event of the stream")).build()).into()
    }
}

impl ToSchema for StreamEvent {
    fn name() -> Cow<'static, str> {
        "StreamEvent".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let detail = ObjectBuilder::new().schema_type(Type::String).description(Some("What to do"));
        let gap = ObjectBuilder::new().property("detail", detail).required("detail");
        let gap = gap.description(Some("Decisions may be missing at this point of the stream")).build();
        let of_decision = event("decision", "Request", "A decision").required("id").build();
        let of_gap = event("gap", "Gap", "Decisions may be missing here: `GET /requests` has them").build();
        for (name, schema) in [("Gap", gap), ("DecisionEvent", of_decision), ("GapEvent", of_gap)] {
            schemas.push((name.to_owned(), schema.into()));
        }
        <RequestView as ToSchema>::schemas(schemas);
        schemas.push((RequestView::name().into_owned(), RequestView::schema()));
    }
}

/// The fields of an event of this name, whose data is JSON.
fn event(name: &str, data: &str, about: &str) -> ObjectBuilder {
    let only =
        ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some([json!(name)]));
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let position = text().pattern(Some("^[0-9]+-[0-9]+$"));
    let data =
        text().content_media_type("application/json").content_schema(Some(Ref::from_schema_name(data)));
    ObjectBuilder::new()
        .property("event", only)
        .property(
            "id",
            position.description(Some("The value of `Last-Event-ID` to continue after this event")),
        )
        .property("data", data)
        .required("event")
        .required("data")
        .description(Some(about))
}
