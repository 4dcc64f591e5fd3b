//! `voltgate authorize`: sends one request to a running system, and shows what happens until it is called back.

mod follow;

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use common::decision::Decision;
use common::ids::RequestId;
use serde::Deserialize;
use serde_json::json;
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;

use self::follow::{Following, Outcome};
use crate::callback_receiver::CallbackReceiver;
use crate::client::Service;
use crate::terminal;

/// Time limit of looking up the service's name.
const LOOK_UP: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct AuthorizeArgs {
    /// The station, a UUID
    pub(crate) station: String,
    /// The driver token
    pub(crate) token: String,
    /// Where the decision is sent [default: a free port of this machine, which this command opens]
    #[arg(long, value_name = "URL")]
    pub(crate) callback_url: Option<String>,
    /// How many seconds to follow the request; 0 ends after the acceptance, and needs --callback-url
    #[arg(long, value_name = "SECONDS", default_value_t = 65)]
    pub(crate) wait: u64,
    /// public-api's URL [default: http://127.0.0.1:PUBLIC_API_PORT, https://localhost with TLS_CERT_FILE]
    #[arg(long, value_name = "URL")]
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
        return ask_and_follow(&api, &args, callback_url, None).await;
    }
    if args.wait == 0 {
        let why = "--wait 0 needs --callback-url: without it, this command has to stay to be called back";
        return Err(Failure::Usage(why.to_owned()));
    }
    let mut receiver = CallbackReceiver::start(address_towards(&api).await)?;
    // Unknown to others: a callback of an earlier run, or of a stranger, must not be taken for this one.
    let name = RequestId::new().to_string();
    let callback_url = receiver.url(&name);
    let decided = ask_and_follow(&api, &args, &callback_url, Some((&mut receiver, &name))).await;
    receiver.stop().await;
    decided.map_err(|failure| match failure {
        Failure::Refused(why) if why.contains("callback_url") => Failure::Refused(format!(
            "{why}; this command waits at {callback_url}: admit that address, or name another with --callback-url"
        )),
        other => other,
    })
}

/// This machine's address on the way to the service, where a worker beside the service reaches it too.
async fn address_towards(api: &Service) -> IpAddr {
    let local = async {
        for any in ["0.0.0.0:0", "[::]:0"] {
            let socket = tokio::net::UdpSocket::bind(any).await.ok()?;
            // Nothing is sent: connecting only chooses the address. It fails for an address of the other family.
            if socket.connect(api.host_and_port()?).await.is_ok() {
                return Some(socket.local_addr().ok()?.ip());
            }
        }
        None
    };
    let found = tokio::time::timeout(LOOK_UP, local).await.ok().flatten();
    found.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

async fn ask_and_follow(
    api: &Service,
    args: &AuthorizeArgs,
    callback_url: &str,
    receiver: Option<(&mut CallbackReceiver, &str)>,
) -> Result<ExitCode, Failure> {
    let asked = Instant::now();
    let (http, url) = api.url(&["station", &args.station, "driver", &args.token, "authorize"]);
    let accepted: Accepted = api.send(http.post(url).json(&json!({ "callback_url": callback_url }))).await?;
    let id = accepted.request_id;
    if args.wait == 0 {
        let text = format!("accepted {id}");
        terminal::line(&if args.json { json!({ "request_id": id }).to_string() } else { text });
        return Ok(ExitCode::SUCCESS);
    }
    let following =
        Following { api, request: &id, asked, wait: Duration::from_secs(args.wait), quiet: args.json };
    let outcome = following.until_called_back(receiver).await?;
    print(args.json, &id, &outcome);
    Ok(ExitCode::from(match outcome.decision {
        Decision::Allowed => 0,
        Decision::NotAllowed => 1,
        Decision::Unknown => 2,
        Decision::Invalid => 3,
    }))
}

fn print(as_json: bool, id: &str, outcome: &Outcome) {
    let Outcome { decision, delivery, took, last_attempt } = outcome;
    let took_ms = took.as_secs_f64() * 1000.0;
    if as_json {
        let mut shown =
            json!({ "request_id": id, "status": decision, "delivery": delivery, "took_ms": took_ms });
        if let Some(last) = last_attempt {
            shown["last_attempt"] = last.as_str().into();
        }
        terminal::line(&shown.to_string());
        return;
    }
    let style = if *decision == Decision::Allowed { terminal::good() } else { terminal::bad() };
    let met = last_attempt.as_ref().map(|last| format!(" ({last})")).unwrap_or_default();
    let after = match delivery.as_str() {
        "delivered" => format!(" after {took_ms:.1} ms (request {id})"),
        "pending" => {
            format!(" (request {id}); its callback is still pending after {:.1} s{met}", took_ms / 1000.0)
        }
        other => format!(" (request {id}); its callback is {other}{met}: see `voltgate dead show {id}`"),
    };
    terminal::line(&format!("{style}{decision}{style:#}{after}"));
}
