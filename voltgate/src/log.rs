//! `voltgate log`: the decisions, newest first; with `--follow` as any worker makes them.

mod follow;
mod row;

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use common::decision::Decision;
use serde::Deserialize;
use serde_json::Value;
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;
use store::DeliveryState;

use self::follow::follow;
use self::row::Rows;
use crate::client::Service;

/// The limit of one page.
const MAX_PAGE: u32 = 500;
const DEFAULT_LIMIT: u32 = 50;
const DEFAULT_BEFORE_FOLLOWING: u32 = 10;

/// What the filters take.
const DECISIONS: [Decision; 4] =
    [Decision::Allowed, Decision::NotAllowed, Decision::Unknown, Decision::Invalid];
const DELIVERIES: [DeliveryState; 3] =
    [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Undeliverable];

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Only requests of this station
    #[arg(long, value_name = "UUID")]
    station: Option<String>,
    /// Only requests of this driver token
    #[arg(long, value_name = "TOKEN")]
    driver: Option<String>,
    /// Only requests with this decision
    #[arg(long, value_parser = PossibleValuesParser::new(DECISIONS.map(Decision::as_str)))]
    decision: Option<String>,
    /// Only requests whose decision's delivery to the callback URL has come this far
    #[arg(long, value_parser = PossibleValuesParser::new(DELIVERIES.map(DeliveryState::as_str)), conflicts_with = "follow")]
    delivery: Option<String>,
    /// Only requests at this moment or later, such as 2026-11-21T10:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only requests before this moment
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    to: Option<String>,
    /// The maximum number of requests [default: 50]; with --follow, how many earlier ones to print first [default: 10]
    #[arg(long)]
    limit: Option<u32>,
    /// Go on with new decisions, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Print one JSON object a line; driver tokens are shown
    #[arg(long)]
    json: bool,
    /// Show driver tokens in the table too; they are personal data
    #[arg(long)]
    show_tokens: bool,
    /// public-api's URL [default: http://127.0.0.1:PUBLIC_API_PORT, https://localhost with TLS_CERT_FILE]
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
}

/// A page of `GET /requests`.
#[derive(Deserialize)]
struct Page {
    requests: Vec<Value>,
    cursor: Option<String>,
}

pub(crate) async fn run(settings: &Settings, args: LogArgs) -> Result<ExitCode, Failure> {
    let api = Service::public_api(settings, args.api.as_deref())?;
    let mut rows = Rows::new(args.json, args.show_tokens);
    if args.follow {
        follow(&api, &args, &mut rows).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut left, mut cursor) = (args.limit.unwrap_or(DEFAULT_LIMIT), None);
    while left > 0 {
        let page = page(&api, &args, left, cursor).await?;
        left = left.saturating_sub(u32::try_from(page.requests.len()).unwrap_or(u32::MAX));
        // The output is closed, as after `| head`.
        if !page.requests.iter().all(|request| rows.print(request)) {
            return Ok(ExitCode::SUCCESS);
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    rows.finish();
    Ok(ExitCode::SUCCESS)
}

async fn page(api: &Service, args: &LogArgs, left: u32, cursor: Option<String>) -> Result<Page, Failure> {
    let (http, mut url) = api.url(&["requests"]);
    let of_the_list =
        [("delivery", &args.delivery), ("from", &args.from), ("to", &args.to), ("cursor", &cursor)];
    for (name, value) in args.filters().iter().chain(&of_the_list) {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    url.query_pairs_mut().append_pair("limit", &left.min(MAX_PAGE).to_string());
    api.send(http.get(url)).await
}

impl LogArgs {
    /// The filters that the list and the stream share.
    fn filters(&self) -> [(&'static str, &Option<String>); 3] {
        [("station_id", &self.station), ("driver_token", &self.driver), ("status", &self.decision)]
    }
}
