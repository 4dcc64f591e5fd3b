//! The gate in front of every resource: authentication, scopes and rate limits.

use std::net::IpAddr;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, ResponseError};
use common::api_key::{ApiKey, NotKey, Scope};
use common::key_store::KeyStore;

use crate::caller::Caller;
use crate::client_address::TrustedProxies;
use crate::config::{KeyMode, ServerConfig};
use crate::rate_limit::{AddressBuckets, Quota};
use crate::verified_keys::{NotVerified, Verified, VerifiedKeys};
use crate::{Access, Problem};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const PER_KEY: &str = "key";
const PER_ADDRESS: &str = "address";

/// A listener's state about its callers, shared by its threads.
pub(crate) struct Gate {
    mode: KeyMode,
    keys: VerifiedKeys,
    addresses: Option<AddressBuckets>,
    proxies: TrustedProxies,
}

/// An admitted caller, and its quota under the limit that counted.
struct Admitted {
    caller: Caller,
    quota: Option<(&'static str, Quota)>,
}

impl Gate {
    /// A gate that admits every caller, for a listener that only this process knows.
    pub(crate) fn open() -> Self {
        Self {
            mode: KeyMode::Off,
            keys: VerifiedKeys::none(),
            addresses: None,
            proxies: TrustedProxies::default(),
        }
    }

    pub(crate) fn new(config: &ServerConfig, keys: std::sync::Arc<dyn KeyStore>) -> Self {
        Self {
            mode: config.mode,
            keys: VerifiedKeys::new(keys, config.static_keys.clone(), config.per_key),
            addresses: config.per_address.map(AddressBuckets::new),
            proxies: config.proxies.clone(),
        }
    }

    /// `sufficient` is `None` for a resource that needs no key.
    async fn admit(
        &self,
        request: &ServiceRequest,
        sufficient: Option<&[Scope]>,
    ) -> Result<Admitted, Problem> {
        let peer = request.peer_addr().map(|peer| peer.ip());
        let address = peer.map(|peer| self.proxies.client(peer, request.headers()));
        let presented = match self.mode {
            KeyMode::Off => Ok(None),
            KeyMode::Required | KeyMode::Optional => presented(request.headers()),
        };
        let Ok(Some(key)) = presented else {
            let quota = self.count(address)?;
            if presented.is_err() {
                return Err(Problem::unauthorized("malformed key: expected vg_<id>_<secret>", true));
            }
            if self.mode == KeyMode::Required && sufficient.is_some() {
                let detail = "a key is required: Authorization: Bearer vg_<id>_<secret>, or X-API-Key";
                return Err(Problem::unauthorized(detail, false));
            }
            return Ok(Admitted { caller: Caller { name: None, id: None, scopes: None, address }, quota });
        };
        let verified = self.verified(&key, address).await?;
        let quota = verified.bucket.as_ref().map(|bucket| bucket.take());
        let quota = within(PER_KEY, quota)?;
        if let Some(sufficient) = sufficient
            && !verified.scopes.admit(sufficient)
        {
            return Err(Problem::forbidden(sufficient));
        }
        let caller = Caller {
            name: Some(verified.name.clone()),
            id: Some(key.id().clone()),
            scopes: Some(verified.scopes),
            address,
        };
        Ok(Admitted { caller, quota })
    }

    /// A key that is not cached costs a request to the store, so it is counted by address first.
    async fn verified(&self, key: &ApiKey, address: Option<IpAddr>) -> Result<Verified, Problem> {
        if let Some(known) = self.keys.cached(key) {
            return Ok(known);
        }
        self.count(address)?;
        self.keys.look_up(key).await.map_err(|error| match error {
            NotVerified::Wrong => {
                Problem::unauthorized("the key is unknown, has expired or is revoked", true)
            }
            NotVerified::Store(error) => {
                tracing::error!(%error, "a key cannot be verified");
                let after = std::time::Duration::from_secs(1);
                Problem::unavailable(
                    "store",
                    "the key cannot be verified: the store cannot be reached",
                    after,
                )
            }
        })
    }

    fn count(&self, address: Option<IpAddr>) -> Result<Option<(&'static str, Quota)>, Problem> {
        let buckets = self.addresses.as_ref().zip(address);
        within(PER_ADDRESS, buckets.map(|(buckets, address)| buckets.of(address).take()))
    }
}

fn within(policy: &'static str, quota: Option<Quota>) -> Result<Option<(&'static str, Quota)>, Problem> {
    let Some(quota) = quota else { return Ok(None) };
    match quota.refused_for {
        None => Ok(Some((policy, quota))),
        Some(wait) => {
            let (policy_header, left) = quota.headers(policy);
            Err(Problem::too_many_requests(policy, wait)
                .with_header("ratelimit-policy", policy_header)
                .with_header("ratelimit", left))
        }
    }
}

/// The key of a request. Another scheme of `Authorization` may be a proxy's and does not count as a key.
fn presented(headers: &HeaderMap) -> Result<Option<ApiKey>, NotKey> {
    let text = |value: &HeaderValue| value.to_str().map(|text| text.trim().to_owned()).map_err(|_| NotKey);
    let bearer = match headers.get(AUTHORIZATION).map(text).transpose()? {
        Some(value) => match value.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Some(key.trim().to_owned()),
            _ if value.eq_ignore_ascii_case("bearer") => return Err(NotKey),
            _ => None,
        },
        None => None,
    };
    let plain = headers.get(X_API_KEY).map(text).transpose()?;
    match (bearer, plain) {
        // Two readers of an ambiguous request would see two callers.
        (Some(one), Some(other)) if one != other => Err(NotKey),
        (Some(key), _) | (None, Some(key)) => key.parse().map(Some),
        (None, None) => Ok(None),
    }
}

/// The middleware of a resource. `methods` states what each of them requires.
pub(crate) async fn guard(
    methods: &'static [(&'static str, Access)],
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let sufficient = match Access::of(methods, request.method()) {
        // An unknown method is answered with 405, with or without a key.
        None | Some(Access::Open) => return next.call(request).await,
        Some(Access::With(scopes)) => Some(scopes),
        Some(Access::Public) => None,
    };
    let Some(gate) = request.app_data::<Data<Gate>>().cloned() else {
        let problem = Problem::internal("this listener has no gate");
        return Ok(request.into_response(problem.error_response()));
    };
    match gate.admit(&request, sufficient).await {
        Err(problem) => Ok(request.into_response(problem.error_response())),
        Ok(Admitted { caller, quota }) => {
            request.extensions_mut().insert(caller);
            let mut response = next.call(request).await?;
            if let Some((policy, quota)) = quota {
                let (policy_header, left) = quota.headers(policy);
                for (name, value) in [(RATE_LIMIT_POLICY, policy_header), (RATE_LIMIT, left)] {
                    if let Ok(value) = HeaderValue::from_str(&value) {
                        response.headers_mut().insert(name, value);
                    }
                }
            }
            Ok(response)
        }
    }
}
