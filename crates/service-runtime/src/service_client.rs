//! The HTTP client for calls between Voltgate's services: its trusted authorities, its API key, and the URLs of paths.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder};
use url::Url;

use common::api_key::ApiKey;

/// A client that presents this key and trusts these authorities (as PEM) in addition to the public ones. It ignores
/// proxies from the environment: there are none between Voltgate's services.
///
/// # Errors
/// Returns an error if the certificates cannot be read.
pub fn builder(key: Option<&ApiKey>, authorities: Option<&[u8]>) -> reqwest::Result<ClientBuilder> {
    let mut headers = HeaderMap::new();
    // A key is plain ASCII, which is always a valid header value.
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

/// The URL of a path of a service, whose base URL may itself have a path. The segments are escaped.
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
