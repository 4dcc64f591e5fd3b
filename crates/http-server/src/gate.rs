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

use crate::accounts::{Accounts, NotSignedIn, Permission};
use crate::caller::Caller;
use crate::client_address::TrustedProxies;
use crate::config::{KeyMode, ServerConfig};
use crate::rate_limit::{Buckets, Quota, RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::verified_keys::{NotVerified, Verified, VerifiedKeys};
use crate::{Access, Problem};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const PER_KEY: &str = "key";
const PER_ADDRESS: &str = "address";
/// A bearer token that begins so is meant as a key.
const KEY_PREFIX: &str = "vg_";

/// A listener's state about its callers, shared by its threads.
pub(crate) struct Gate {
    mode: KeyMode,
    keys: VerifiedKeys,
    accounts: Option<std::sync::Arc<dyn Accounts>>,
    addresses: Option<Buckets>,
    proxies: TrustedProxies,
}

/// What a caller presents.
enum Credentials {
    Key(ApiKey),
    AccessToken(String),
}

/// What a method requires.
#[derive(Clone, Copy)]
enum Required {
    Nothing,
    Scope(&'static [Scope]),
    Permission(&'static Permission),
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
            accounts: None,
            addresses: None,
            proxies: TrustedProxies::default(),
        }
    }

    pub(crate) fn new(config: &ServerConfig, keys: std::sync::Arc<dyn KeyStore>) -> Self {
        Self {
            mode: config.mode,
            keys: VerifiedKeys::new(keys, config.static_keys.clone(), config.per_key),
            accounts: None,
            addresses: config.per_address.map(Buckets::new),
            proxies: config.proxies.clone(),
        }
    }

    /// The same gate for a service with accounts.
    pub(crate) fn with_accounts(self, accounts: std::sync::Arc<dyn Accounts>) -> Self {
        Self { accounts: Some(accounts), ..self }
    }

    fn address(&self, request: &ServiceRequest) -> Option<IpAddr> {
        let peer = request.peer_addr().map(|peer| peer.ip());
        peer.map(|peer| self.proxies.client(peer, request.headers()))
    }

    async fn admit(&self, request: &ServiceRequest, required: Required) -> Result<Admitted, Problem> {
        let address = self.address(request);
        let presented = match self.mode {
            KeyMode::Off => Ok(None),
            KeyMode::Required | KeyMode::Optional => presented(request.headers(), self.accounts.is_some()),
        };
        match presented {
            Ok(Some(Credentials::Key(key))) => self.admit_key(&key, address, required).await,
            Ok(Some(Credentials::AccessToken(token))) => self.admit_account(&token, address, required).await,
            Ok(None) => self.admit_stranger(address, required),
            Err(NotKey) => {
                self.count(address)?;
                Err(Problem::unauthorized("malformed key: expected vg_<id>_<secret>", true))
            }
        }
    }

    fn admit_stranger(&self, address: Option<IpAddr>, required: Required) -> Result<Admitted, Problem> {
        let quota = self.count(address)?;
        let detail = match required {
            Required::Scope(_) if self.mode == KeyMode::Required => {
                "a key is required: Authorization: Bearer vg_<id>_<secret>, or X-API-Key"
            }
            Required::Permission(_) => {
                "an access token or a key is required: Authorization: Bearer <token>, or X-API-Key"
            }
            Required::Scope(_) | Required::Nothing => {
                return Ok(Admitted { caller: Caller::stranger(address), quota });
            }
        };
        Err(Problem::unauthorized(detail, false))
    }

    async fn admit_key(
        &self,
        key: &ApiKey,
        address: Option<IpAddr>,
        required: Required,
    ) -> Result<Admitted, Problem> {
        let verified = self.verified(key, address).await?;
        let quota = verified.bucket.as_ref().map(|bucket| bucket.take());
        let quota = within(PER_KEY, quota)?;
        let sufficient = match required {
            Required::Nothing => None,
            Required::Scope(scopes) => Some(scopes),
            Required::Permission(permission) if permission.scopes.is_empty() => {
                return Err(Problem::not_permitted(permission));
            }
            Required::Permission(permission) => Some(permission.scopes),
        };
        if let Some(sufficient) = sufficient
            && !verified.scopes.admit(sufficient)
        {
            return Err(Problem::forbidden(sufficient));
        }
        let caller = Caller {
            name: Some(verified.name.clone()),
            id: Some(key.id().clone()),
            scopes: Some(verified.scopes),
            account: None,
            address,
        };
        Ok(Admitted { caller, quota })
    }

    /// A token costs a look at the database, so it is counted by address first.
    async fn admit_account(
        &self,
        token: &str,
        address: Option<IpAddr>,
        required: Required,
    ) -> Result<Admitted, Problem> {
        let quota = self.count(address)?;
        let verified = match &self.accounts {
            Some(accounts) => accounts.verify(token).await,
            None => Err(NotSignedIn::Refused),
        };
        let account = verified.map_err(|error| match error {
            NotSignedIn::Refused => {
                Problem::unauthorized("the access token has expired, or the sign-in has ended", true)
            }
            NotSignedIn::Unavailable => Problem::unavailable(
                "database",
                "the access token cannot be verified at present",
                std::time::Duration::from_secs(1),
            ),
        })?;
        match required {
            Required::Permission(permission) if !account.has(permission.roles) => {
                return Err(Problem::not_permitted(permission));
            }
            Required::Scope(scopes) => return Err(Problem::forbidden(scopes)),
            Required::Permission(_) | Required::Nothing => {}
        }
        Ok(Admitted { caller: Caller { account: Some(account), ..Caller::stranger(address) }, quota })
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
        within(PER_ADDRESS, buckets.map(|(buckets, address)| buckets.of_address(address).take()))
    }
}

fn within(policy: &'static str, quota: Option<Quota>) -> Result<Option<(&'static str, Quota)>, Problem> {
    quota.map(|quota| Ok((policy, quota.admit(policy)?))).transpose()
}

/// The key or the access token of a request. Another scheme of `Authorization` may be a proxy's and does not count.
fn presented(headers: &HeaderMap, with_accounts: bool) -> Result<Option<Credentials>, NotKey> {
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
        (Some(token), _) if with_accounts && !token.starts_with(KEY_PREFIX) => {
            Ok(Some(Credentials::AccessToken(token)))
        }
        (Some(key), _) | (None, Some(key)) => key.parse().map(|key| Some(Credentials::Key(key))),
        (None, None) => Ok(None),
    }
}

/// The middleware of a resource. `methods` states what each of them requires.
pub(crate) async fn guard(
    methods: &'static [(&'static str, Access)],
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let required = match Access::of(methods, request.method()) {
        // An unknown method is answered with 405, with or without a key.
        None | Some(Access::Open) => return next.call(request).await,
        Some(Access::With(scopes)) => Required::Scope(scopes),
        Some(Access::Granted(permission)) => Required::Permission(permission),
        Some(Access::Public | Access::Anonymous) => Required::Nothing,
    };
    let ignores_credentials = Access::of(methods, request.method()) == Some(Access::Anonymous);
    let Some(gate) = request.app_data::<Data<Gate>>().cloned() else {
        let problem = Problem::internal("this listener has no gate");
        return Ok(request.into_response(problem.error_response()));
    };
    let admitted = match ignores_credentials {
        true => gate.admit_stranger(gate.address(&request), required),
        false => gate.admit(&request, required).await,
    };
    match admitted {
        Err(problem) => Ok(request.into_response(problem.error_response())),
        Ok(Admitted { caller, quota }) => {
            request.extensions_mut().insert(caller);
            let mut response = next.call(request).await?;
            // A handler that refused the request by a limit of its own has said so.
            let is_said = response.headers().contains_key(RATE_LIMIT);
            if let Some((policy, quota)) = quota.filter(|_| !is_said) {
                let (policy_header, left) = quota.headers(policy);
                for (name, value) in [(RATE_LIMIT_POLICY, policy_header), (RATE_LIMIT, left)] {
                    if let Ok(value) = HeaderValue::from_str(&value) {
                        response.headers_mut().insert(HeaderName::from_static(name), value);
                    }
                }
            }
            Ok(response)
        }
    }
}
