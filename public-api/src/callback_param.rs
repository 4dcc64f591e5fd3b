//! Where a client may put its `callback_url`: the query, or the JSON or form body of a POST.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;
use http_api::{Problem, body};

/// A request is a URL and little else.
const LARGEST_BODY: usize = 16 * 1024;
const NAME: &str = "callback_url";

/// The one callback URL of the request.
pub(crate) async fn callback_url(request: &HttpRequest, payload: Payload) -> Result<String, Problem> {
    let mut given = form_values(request.query_string().as_bytes(), "query")?;
    if request.method() == Method::POST {
        let body = body::read(request, payload, LARGEST_BODY).await?;
        given.extend(body_values(request, &body)?);
    }
    let first = given.first().cloned().ok_or_else(|| Problem::invalid(NAME, "callback_url is missing"))?;
    // Two readers of an ambiguous request would call two places.
    if given.iter().any(|other| *other != first) {
        return Err(Problem::invalid(NAME, "callback_url is given more than once, with different values"));
    }
    Ok(first)
}

fn body_values(request: &HttpRequest, body: &[u8]) -> Result<Vec<String>, Problem> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => json_values(body),
        "application/x-www-form-urlencoded" => form_values(body, "body"),
        other if other.ends_with("+json") => json_values(body),
        _ => Err(Problem::unsupported_media_type(
            "expected application/json or application/x-www-form-urlencoded",
        )),
    }
}

fn json_values(body: &[u8]) -> Result<Vec<String>, Problem> {
    let json = body::json(body)?;
    let object = json.as_object().ok_or_else(|| Problem::invalid("body", "expected a JSON object"))?;
    match object.get(NAME) {
        None => Ok(Vec::new()),
        Some(value) => {
            let text =
                value.as_str().ok_or_else(|| Problem::invalid(NAME, "callback_url must be a string"))?;
            Ok(vec![text.to_owned()])
        }
    }
}

fn form_values(form: &[u8], place: &'static str) -> Result<Vec<String>, Problem> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(form).map_err(|error| {
        Problem::invalid(place, format!("not of the form name=value&name=value: {error}"))
    })?;
    Ok(pairs.into_iter().filter(|(name, _)| name == NAME).map(|(_, value)| value).collect())
}
