//! The running services: whether they answer as their callers need.

use std::time::Duration;

use charging::settings::DATABASE_URL;
use public_api::metrics::QUEUE_AGE;
use public_api::settings::AUTHORIZATION_TIMEOUT_SEC;
use reqwest::{Response, StatusCode};
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;

use super::DoctorArgs;
use super::finding::Finding;
use crate::client::Service;

const LIMIT: Duration = Duration::from_secs(5);
/// A driver on no list. It is checked because that is what a worker asks.
const NOBODY: [&str; 5] =
    ["station", "00000000-0000-0000-0000-000000000000", "driver", "voltgate-doctor-asks-0", "acl"];

pub(super) async fn look(settings: &Settings, args: &DoctorArgs) -> Vec<Finding> {
    let api = Service::public_api(settings, args.api.as_deref());
    let acl = Service::acl(settings, args.acl.as_deref());
    let limit = settings.seconds(&AUTHORIZATION_TIMEOUT_SEC, 3600).unwrap_or(LIMIT);
    let platform = if settings.is_given(&DATABASE_URL) {
        Some(Service::platform_api(settings, args.platform.as_deref()))
    } else {
        None
    };
    let (age, api, acl, platform) = tokio::join!(
        queue_age(api.as_ref().ok(), limit),
        ask(&api, "public-api", &["readyz"], "start public-api, or name it with --api"),
        ask(&acl, "acl-service", &NOBODY, "start acl-service, or correct AUTHORIZATION_SERVICE_URL"),
        async {
            let platform = platform.as_ref()?;
            Some(
                ask(platform, "platform-api", &["readyz"], "start platform-api, or name it with --platform")
                    .await,
            )
        },
    );
    [acl, api].into_iter().chain(platform).chain(age).collect()
}

async fn ask(
    service: &Result<Service, Failure>,
    name: &'static str,
    path: &[&str],
    start_it: &'static str,
) -> Finding {
    let service = match service {
        Ok(service) => service,
        Err(why) => return Finding::failure(name, why.to_string(), "correct it"),
    };
    let (http, url) = service.url(path);
    let at = service.base();
    match http.get(url).timeout(LIMIT).send().await {
        Ok(response) => answered(&response, name, at),
        Err(_) => Finding::failure(name, format!("no answer at {at}"), start_it),
    }
}

/// How long requests wait for a worker, as public-api measures it; nothing if it does not report it.
async fn queue_age(api: Option<&Service>, limit: Duration) -> Option<Finding> {
    let (http, url) = api?.url(&["metrics"]);
    let metrics = http.get(url).timeout(LIMIT).send().await.ok()?.text().await.ok()?;
    let age: f64 = metrics.lines().find_map(|line| line.strip_prefix(QUEUE_AGE)?.trim().parse().ok())?;
    let (check, detail) = ("queue age", format!("the oldest request has been waiting for {age:.1} s"));
    Some(match age {
        age if age > limit.as_secs_f64() => Finding::failure(
            check,
            detail,
            "too late for its deadline: start more workers, or find out why they stand still",
        ),
        age if age > limit.as_secs_f64() / 2.0 => Finding::warning(check, detail, "start more workers"),
        _ => Finding::ok(check, detail),
    })
}

fn answered(response: &Response, name: &'static str, at: &str) -> Finding {
    match response.status() {
        StatusCode::OK => Finding::ok(name, format!("answers at {at}")),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Finding::failure(
            name,
            format!("{at} rejects the key ({})", status.as_u16()),
            "create a key with the required scope, and set it",
        ),
        StatusCode::SERVICE_UNAVAILABLE => Finding::failure(
            name,
            format!("{at} is not ready (503)"),
            "it has lost its broker, its store or its database: see the lines above",
        ),
        status => Finding::failure(
            name,
            format!("{at} answered {}", status.as_u16()),
            "another program listens there, or a proxy intervenes",
        ),
    }
}
