//! What a client of charge-service sends: one flat object, as JSON or as a form.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;
use common::ids::{DriverToken, StationId};
use http_api::body;
use serde_json::{Map, Value};

use super::Refused;

const LARGEST_BODY: usize = 16 * 1024;

/// Its fields; none of a body that cannot be read, of which every field is missing then.
#[derive(Debug, Default)]
pub(super) struct Form(Map<String, Value>);

impl Form {
    pub(super) async fn read(request: &HttpRequest, payload: Payload) -> Self {
        let Ok(body) = body::read(request, payload, LARGEST_BODY).await else { return Self::default() };
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        let fields = if is_form {
            let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(&body).unwrap_or_default();
            pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect()
        } else {
            serde_json::from_slice(&body).unwrap_or_default()
        };
        Self(fields)
    }

    /// A field that has to be there.
    pub(super) fn text(&self, field: &'static str) -> Result<&str, Refused> {
        self.0.get(field).and_then(Value::as_str).ok_or(Refused::Field(field))
    }

    pub(super) fn station(&self) -> Result<StationId, Refused> {
        self.text("station_id")?.parse().map_err(|_| Refused::Field("station_id"))
    }

    pub(super) fn driver(&self) -> Result<DriverToken, Refused> {
        DriverToken::parse(self.text("driver_token")?).map_err(|_| Refused::Field("driver_token"))
    }
}
