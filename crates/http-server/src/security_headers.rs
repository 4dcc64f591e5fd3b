//! Security headers for browsers on every response, errors included: the responses are for programs. A header that a
//! handler sets itself, such as the policy of a page, is kept.

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;

const ALWAYS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
];
const OVER_TLS: (HeaderName, &str) = (STRICT_TRANSPORT_SECURITY, "max-age=31536000");

/// The outermost middleware.
pub(crate) async fn add(
    tls: bool,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match next.call(request).await {
        Ok(mut response) => {
            add_missing(response.headers_mut(), tls);
            Ok(response)
        }
        Err(error) => {
            let mut response = error.error_response();
            add_missing(response.headers_mut(), tls);
            Err(InternalError::from_response(error, response).into())
        }
    }
}

fn add_missing(headers: &mut HeaderMap, tls: bool) {
    for (name, value) in ALWAYS.into_iter().chain(tls.then_some(OVER_TLS)) {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
