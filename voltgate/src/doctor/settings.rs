//! Whether every service would start with these settings, and which settings are a risk.

use authorization::config::broker_url;
use authorization::settings::{CALLBACK_ALLOWED_NETWORKS, WEBHOOK_PRIVATE_KEY, WEBHOOK_SECRET};
use service_runtime::settings::{SettingError, Settings};
use service_runtime::telemetry::LogConfig;

use super::finding::Finding;

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let read = [
        ("public-api", public_api::config::Config::from_settings(settings).map(drop)),
        ("worker", worker::config::Config::from_settings(settings).map(drop)),
        ("acl-service", acl_service::config::Config::from_settings(settings).map(drop)),
        ("log and traces", LogConfig::from_settings(settings).map(drop)),
    ];
    let parsed = read.map(|(service, result)| parsed(service, result));
    parsed.into_iter().chain([signatures(settings), networks(settings)]).collect()
}

fn parsed(service: &str, result: Result<(), SettingError>) -> Finding {
    let check = format!("settings of {service}");
    match result {
        Ok(()) => Finding::ok(check, "all are valid"),
        Err(error) => Finding::failure(check, error.to_string(), "see `voltgate settings`"),
    }
}

fn signatures(settings: &Settings) -> Finding {
    let check = "callback signatures";
    if settings.is_given(&WEBHOOK_SECRET) || settings.is_given(&WEBHOOK_PRIVATE_KEY) {
        return Finding::ok(check, "callbacks are signed");
    }
    let remedy = "set WEBHOOK_SECRET (`echo whsec_$(openssl rand -base64 32)`) or WEBHOOK_PRIVATE_KEY";
    Finding::warning(check, "callbacks are not signed: anyone could forge one", remedy)
}

fn networks(settings: &Settings) -> Finding {
    let (check, given) = ("callback networks", settings.text(&CALLBACK_ALLOWED_NETWORKS));
    // `voltgate up` keeps its queue in a directory, and admits this machine while only this machine can ask it.
    let embedded = broker_url(settings).is_ok_and(|url| url.expose().starts_with("embedded:"));
    let loopback =
        acl_service::config::Config::from_settings(settings).is_ok_and(|config| config.bind.is_loopback());
    let with_this_machine = embedded && loopback;
    if given.is_empty() {
        let detail = match with_this_machine {
            true => {
                "public addresses are called back, and this machine by `voltgate up`, which only this machine can call"
            }
            false => "only public addresses are called back",
        };
        return Finding::ok(check, detail);
    }
    let besides = if with_this_machine { "public addresses and this machine" } else { "public addresses" };
    let detail = format!("called back besides {besides}: {given}");
    if given.split(',').any(|network| network.trim().ends_with("/0")) {
        return Finding::failure(
            check,
            detail,
            "every caller of public-api can reach all of them: name only the clients' networks",
        );
    }
    if given.split(',').all(|network| network.trim() == "localhost") {
        return Finding::ok(check, detail);
    }
    Finding::warning(check, detail, "admit only the clients' networks")
}
