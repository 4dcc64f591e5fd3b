//! The named values of a request, from its query and from its JSON or form body.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;
use http_server::{Problem, body, input};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A request is little more than a URL.
const MAX_BODY: usize = 16 * 1024;
/// Maximum number of names that an error repeats.
const MAX_NAMED: usize = 8;

const FORM: &str = "application/x-www-form-urlencoded";

/// Names and values. A name that is given with different values has all of them, as a list.
#[derive(Debug, Default)]
pub(crate) struct Form(Map<String, Value>);

impl Form {
    /// Parses a query that contains only these names.
    pub(crate) fn of_query(request: &HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        Self::of_pairs(request.query_string().as_bytes(), "query")?.of_names(known, "query")
    }

    /// Parses a body that contains only these names. JSON may contain others: there a name is never a piece of a value.
    pub(crate) async fn of_body_with(
        request: &HttpRequest,
        payload: Payload,
        known: &[&str],
    ) -> Result<Self, Problem> {
        let form = Self::of_body(request, payload).await?;
        if essence(request) == FORM { form.of_names(known, "body") } else { Ok(form) }
    }

    /// An empty body is an empty form, whatever its type.
    pub(crate) async fn of_body(request: &HttpRequest, payload: Payload) -> Result<Self, Problem> {
        let body = body::read(request, payload, MAX_BODY).await?;
        if body.is_empty() {
            return Ok(Self::default());
        }
        match essence(request).as_str() {
            "application/json" => Self::of_json(&body),
            FORM => Self::of_pairs(&body, "body"),
            other if other.ends_with("+json") => Self::of_json(&body),
            _ => Err(Problem::unsupported_media_type(
                "expected application/json or application/x-www-form-urlencoded",
            )),
        }
    }

    /// Combines the values of both.
    pub(crate) fn and(self, other: Self) -> Self {
        other.0.into_iter().fold(self, Self::with)
    }

    fn with(mut self, (name, value): (String, Value)) -> Self {
        match self.0.get_mut(&name) {
            Some(known) if *known != value => *known = json!([known, value]),
            Some(_) => {}
            None => _ = self.0.insert(name, value),
        }
        self
    }

    /// Parses the values. Two different values of one name are rejected: two readers of an ambiguous request would act
    /// differently.
    pub(crate) fn parse<T: DeserializeOwned>(self) -> Result<T, Problem> {
        input::object(&Value::Object(self.0))
    }

    /// An unencoded `&` ends a value, and what follows it looks like a name: the value would be silently truncated.
    fn of_names(self, known: &[&str], place: &'static str) -> Result<Self, Problem> {
        let unknown = self.0.keys().filter(|name| !known.contains(&name.as_str()));
        let names: Vec<String> = unknown.take(MAX_NAMED).map(|name| format!("`{name:.64}`")).collect();
        if names.is_empty() {
            return Ok(self);
        }
        let (names, known) = (names.join(", "), known.join(", "));
        let why = format!("unknown names: {names}; expected: {known}; write an `&` within a value as %26");
        Err(Problem::invalid(place, why))
    }

    fn of_json(body: &[u8]) -> Result<Self, Problem> {
        match body::value(body)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Problem::invalid("body", "expected a JSON object")),
        }
    }

    fn of_pairs(form: &[u8], place: &'static str) -> Result<Self, Problem> {
        let pairs: Vec<(String, Value)> = serde_urlencoded::from_bytes(form).map_err(|error| {
            Problem::invalid(place, format!("not of the form name=value&name=value: {error}"))
        })?;
        Ok(pairs.into_iter().fold(Self::default(), Self::with))
    }
}

/// The media type of the body, without its parameters.
fn essence(request: &HttpRequest) -> String {
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
