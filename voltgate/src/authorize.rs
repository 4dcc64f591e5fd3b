//! `voltgate authorize`: sends one request to a running system and prints the decision.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::decision::Decision;
use serde::Deserialize;
use serde_json::json;
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;

use crate::callback_receiver::CallbackReceiver;
use crate::client::Service;
use crate::terminal;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct AuthorizeArgs {
    /// The station, a UUID
    pub(crate) station: String,
    /// The driver token
    pub(crate) token: String,
    /// Send the decision to this URL instead of waiting for it
    #[arg(long)]
    pub(crate) callback_url: Option<String>,
    /// How many seconds to wait for the decision
    #[arg(long, default_value_t = 65, conflicts_with = "callback_url")]
    pub(crate) wait: u64,
    /// public-api's URL [default: http://127.0.0.1:PUBLIC_API_PORT, https://localhost with TLS_CERT_FILE]
    #[arg(long)]
    pub(crate) api: Option<String>,
    /// Print JSON for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    request_id: String,
}

pub(crate) async fn run(settings: &Settings, args: AuthorizeArgs) -> Result<ExitCode, Failure> {
    let api = Service::public_api(settings, args.api.as_deref())?;
    if let Some(callback_url) = &args.callback_url {
        print(args.json, &ask(&api, &args, callback_url).await?, None);
        return Ok(ExitCode::SUCCESS);
    }
    let mut receiver = CallbackReceiver::start()?;
    let decided = decision(&api, &args, &mut receiver).await;
    receiver.stop().await;
    decided
}

async fn ask(api: &Service, args: &AuthorizeArgs, callback_url: &str) -> Result<Accepted, Failure> {
    let (http, url) = api.url(&["station", &args.station, "driver", &args.token, "authorize"]);
    api.send(http.post(url).json(&json!({ "callback_url": callback_url }))).await
}

async fn decision(
    api: &Service,
    args: &AuthorizeArgs,
    receiver: &mut CallbackReceiver,
) -> Result<ExitCode, Failure> {
    let asked = Instant::now();
    let accepted = ask(api, args, &receiver.url("decision")).await?;
    let received = receiver.next("decision", Duration::from_secs(args.wait)).await.ok_or_else(|| {
        Failure::broken(format!(
            "no callback within {} seconds; the worker may be stopped, or may be unable to call back to this machine \
             (CALLBACK_ALLOWED_NETWORKS); see GET /requests/{}",
            args.wait, accepted.request_id
        ))
    })?;
    print(args.json, &accepted, Some((received.status, asked.elapsed())));
    Ok(ExitCode::from(match received.status {
        Decision::Allowed => 0,
        Decision::NotAllowed => 1,
        Decision::Unknown => 2,
        Decision::Invalid => 3,
    }))
}

fn print(as_json: bool, accepted: &Accepted, decided: Option<(Decision, Duration)>) {
    let id = &accepted.request_id;
    match (decided, as_json) {
        (None, false) => println!("accepted {id}"),
        (None, true) => println!("{}", json!({ "request_id": id })),
        (Some((status, took)), true) => {
            let took_ms = took.as_secs_f64() * 1000.0;
            println!("{}", json!({ "request_id": id, "status": status, "took_ms": took_ms }));
        }
        (Some((status, took)), false) => {
            let style = if status == Decision::Allowed { terminal::good() } else { terminal::bad() };
            println!("{style}{status}{style:#} after {:.1} ms (request {id})", took.as_secs_f64() * 1000.0);
        }
    }
}
