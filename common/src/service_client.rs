//! How one service of ours calls another: whom it trusts to be that service, what it presents, and where a path of it is.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder};
use url::Url;

use crate::api_key::ApiKey;

/// A client that presents this key and trusts these authorities (as PEM) beside the public ones. It takes no proxy of the
/// environment: between our own services there is none.
///
/// # Errors
/// The certificates cannot be read.
pub fn builder(key: Option<&ApiKey>, authorities: Option<&[u8]>) -> reqwest::Result<ClientBuilder> {
    let mut headers = HeaderMap::new();
    // A key is plain ASCII, which a header can always hold.
    if let Some(Ok(mut bearer)) = key.map(|key| HeaderValue::from_str(&format!("Bearer {}", key.reveal()))) {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    let builder = Client::builder().no_proxy().default_headers(headers);
    match authorities {
        Some(authorities) => Ok(builder.tls_certs_merge(Certificate::from_pem_bundle(authorities)?)),
        None => Ok(builder),
    }
}

/// A path of a service, which may itself be under a path; the segments are escaped.
pub fn url(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_behind_that_of_the_service_and_is_escaped() {
        for base in ["https://acl.example/of/us", "https://acl.example/of/us/"] {
            let url = url(&base.parse().unwrap(), &["driver", "a/b ?c", "acl"]);
            assert_eq!(url.as_str(), "https://acl.example/of/us/driver/a%2Fb%20%3Fc/acl");
        }
    }
}
