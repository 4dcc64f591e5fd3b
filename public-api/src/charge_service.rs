//! The four calls of charge-service, an older system of this kind, for the clients that it left behind. They go through
//! the same pipeline. Each answers 200 with its own body, also when it refuses; `CHARGE_SERVICE_API=true` switches them on.

mod access;
mod form;
mod request_log;

use std::time::{Duration, UNIX_EPOCH};

use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use common::clock::{self, Nanos};
use common::decision::Decision;
use common::ids::RequestId;
use common::settings::{CHARGE_SERVICE_API, SettingError, Settings};
use http_api::server::resource;
use serde::Serialize;
use store::Store;
use task_queue::Moment;
use url::Url;

use crate::acceptance::Acceptance;
use crate::error::ApiError;
use access::AccessClient;
use form::Form;

/// What is older is not decided any more.
const TOO_OLD: Duration = Duration::from_secs(30 * 60);
/// A worker records an `unknown` a little after the deadline.
const AFTER_DEADLINE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Switched on, with what it needs beside the pipeline.
#[derive(Debug, Clone)]
pub struct ChargeServiceConfig {
    acl_service: Url,
}

impl ChargeServiceConfig {
    /// Nothing where it is switched off.
    ///
    /// # Errors
    /// One of the settings has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingError> {
        let on = settings.parse_with(&CHARGE_SERVICE_API, |text| text.parse().ok())?;
        if on { Ok(Some(Self { acl_service: settings.acl_service()? })) } else { Ok(None) }
    }
}

/// Its routes; they find the [`Acceptance`] in the application's data.
pub(crate) fn routes(config: &ChargeServiceConfig) -> Result<impl Fn(&mut ServiceConfig) + Clone, access::NoClient> {
    let access = Data::new(AccessClient::new(config.acl_service.clone())?);
    Ok(move |config: &mut ServiceConfig| {
        config.app_data(access.clone()).service(
            web::scope("/api")
                .service(resource("/chargingRequestValidator/", "POST").route(web::post().to(validate)))
                .service(resource("/insertACL/", "POST").route(web::post().to(access::insert)))
                .service(resource("/getrequestlog/", "GET").route(web::get().to(request_log::list)))
                .service(resource("/checkauthority/", "POST").route(web::post().to(check_authority))),
        );
    })
}

/// `status` is `accepted`, or the name of what is wrong.
#[derive(Serialize)]
struct Validated {
    status: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Checked {
    message: &'static str,
}

async fn validate(acceptance: Data<Acceptance>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let validated = match accept(&acceptance, &Form::read(&request, payload).await, clock::now()).await {
        Ok(_) => Validated {
            status: "accepted",
            message: "Request is being processed asynchronously. The result will be sent to the provided \
                      callback URL."
                .to_owned(),
        },
        Err(Refused::Field(field)) => Validated { status: field, message: format!("{field} is invalid.") },
        Err(Refused::Unavailable) => {
            Validated { status: "unknown", message: "unknown error has been occured.".to_owned() }
        }
    };
    HttpResponse::Ok().json(validated)
}

/// The decision, once it is on record; the callback is told the same. What is too old is accepted as of the time that it
/// names, so that it is recorded and called back as `unknown`.
async fn check_authority(
    acceptance: Data<Acceptance>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let form = Form::read(&request, payload).await;
    let message = match check(&acceptance, &form).await {
        Ok(message) => message,
        Err(_) => "An error occurred while processing charging request.",
    };
    HttpResponse::Ok().json(Checked { message })
}

async fn check(acceptance: &Acceptance, form: &Form) -> Result<&'static str, Refused> {
    let asked = Moment::parse(form.text("request_time")?).ok_or(Refused::Field("request_time"))?;
    let (asked, now) = (clock::nanos(asked.since(UNIX_EPOCH.into())), clock::now());
    if now.saturating_sub(asked) > clock::nanos(TOO_OLD) {
        accept(acceptance, form, asked).await?;
        return Ok("Request is too old");
    }
    let id = accept(acceptance, form, now).await?;
    match decided(&acceptance.store, id, acceptance.timeout + AFTER_DEADLINE).await {
        Some(Decision::Allowed) => Ok("Access granted"),
        Some(Decision::NotAllowed) => Ok("Access denied"),
        Some(Decision::Unknown | Decision::Invalid) | None => Err(Refused::Unavailable),
    }
}

/// Waits for a worker's decision.
async fn decided(store: &Store, request: RequestId, limit: Duration) -> Option<Decision> {
    let looking = async {
        loop {
            if let Ok(Some(record)) = store.records.find(request).await {
                return record.decided.decision;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(limit, looking).await.ok()
}

/// Why nothing was done.
enum Refused {
    /// This field is missing or wrong.
    Field(&'static str),
    /// A part of the service does not answer.
    Unavailable,
}

/// Unlike the front door, charge-service refuses a malformed token at once.
async fn accept(acceptance: &Acceptance, form: &Form, received: Nanos) -> Result<RequestId, Refused> {
    let (station, driver) = (form.station()?, form.driver()?);
    let callback_url = form.text("callback_url")?.to_owned();
    let question = acceptance.question(&station.to_string(), driver.expose(), callback_url)?;
    Ok(acceptance.accept(question, received, None).await?)
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::CallbackUrl(_) => Self::Field("callback_url"),
            error => {
                tracing::warn!(%error, "a request of charge-service's API was not accepted");
                Self::Unavailable
            }
        }
    }
}
