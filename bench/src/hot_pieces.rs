//! The code that every request runs, counted in instructions: the count is the same on a busy machine as on a quiet
//! one, so that CI detects a slower piece without timing anything.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use authorization::settings::WEBHOOK_SECRET;
use authorization::tasks::authorize::{Authorize, NAME, PARAMETERS};
use common::address_guard::AddressGuard;
use common::callback_url::CallbackUrl;
use common::ids::{PresentedToken, RequestId, StationId};
use common::webhook_signature::WebhookSigner;
use service_runtime::settings::Settings;
use service_runtime::trace_context::TraceContext;
use store::RecordKey;
use task_queue::message::Headers;
use task_queue::protocol::Origin;
use task_queue::{Message, TaskMessage, TaskOptions, TaskRequest};

/// A piece may become this much more expensive before the test fails: compilers and processors differ a little.
const TOLERANCE: f64 = 0.10;
/// The cost of a piece is the difference between runs with few and with many repetitions.
const FEW: u64 = 20;
const MANY: u64 = 120;

const URL: &str = "https://93.184.216.34:8443/callbacks/charging?session=42";
const TOKEN: &str = "valid_driver_token_12345";

/// The inputs of the pieces.
struct Props {
    task: Authorize,
    message: Message,
    origin: Origin,
    id: RequestId,
    guard: AddressGuard,
    signer: WebhookSigner,
    key: RecordKey,
}

type Piece = fn(&Props);

const PIECES: [(&str, Piece); 7] = [
    ("encode a Celery message", |props| drop(black_box(encode(props)))),
    ("decode a Celery message", |props| drop(black_box(decode(&props.message)))),
    ("make and write a trace context", |_| {
        drop(black_box(TraceContext::new().headers().collect::<Vec<_>>()));
    }),
    ("write and read a record's key", |props| drop(black_box(RecordKey::from_redis(&props.key.to_redis())))),
    ("judge a driver token", |props| drop(black_box(props.task.driver_token.parse()))),
    ("judge a callback URL and its address", |props| {
        let judged = CallbackUrl::parse(black_box(URL), &props.guard);
        black_box(props.guard.check(black_box(IpAddr::from([93, 184, 216, 34]))).is_ok());
        drop(black_box(judged));
    }),
    ("sign a callback", |props| {
        let id = props.id.to_string();
        drop(black_box(props.signer.sign(&id, 1_795_246_192, props.message.body.as_ref())));
    }),
];

/// Runs a piece this many times; the process must do nothing else that counts.
///
/// # Errors
/// Returns an error if there is no such piece.
pub fn work(piece: &str, times: u64) -> Result<()> {
    let (_, work) =
        PIECES.iter().find(|(name, _)| *name == piece).with_context(|| format!("there is no `{piece}`"))?;
    let props = Props::new()?;
    for _ in 0..times {
        work(&props);
    }
    Ok(())
}

/// The instructions of each piece, as valgrind counts them in a program that calls [`work`] with its two arguments.
///
/// # Errors
/// Returns an error if valgrind is not installed, or if the program fails.
pub fn count(program: &Path) -> Result<BTreeMap<String, u64>> {
    let each = PIECES.iter().map(|(name, _)| {
        let (few, many) = (instructions(program, name, FEW)?, instructions(program, name, MANY)?);
        Ok(((*name).to_owned(), many.saturating_sub(few) / (MANY - FEW)))
    });
    each.collect()
}

/// The pieces that became more expensive or are not in the baseline, one line each.
#[must_use]
pub fn compare(baseline: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Vec<String> {
    let judge = |(name, now): (&String, &u64)| match baseline.get(name) {
        None => Some(format!("{name}: {now} instructions, and none in the baseline")),
        Some(before) if *now as f64 > *before as f64 * (1.0 + TOLERANCE) => {
            Some(format!("{name}: {now} instructions, {before} in the baseline"))
        }
        Some(_) => None,
    };
    counted.iter().filter_map(judge).collect()
}

fn instructions(program: &Path, piece: &str, times: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = valgrind.arg(program).arg(piece).arg(times.to_string()).output();
    let output = output.context("cannot run valgrind; on Debian: apt-get install valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{piece}: {said}");
    }
    let counted = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    counted.with_context(|| format!("valgrind says nothing of what it has counted: {said}"))
}

fn encode(props: &Props) -> Message {
    let task = TaskMessage {
        name: NAME,
        id: props.id.to_string(),
        args: props.task.to_args(),
        argsrepr: props.task.argsrepr(),
        headers: Headers::new(),
        options: TaskOptions::default(),
    };
    task.encode(&props.origin)
}

fn decode(message: &Message) -> Option<Authorize> {
    let bound = TaskRequest::decode(message).ok()?.bind(PARAMETERS).ok()?;
    serde_json::from_value(bound).ok()
}

impl Props {
    fn new() -> Result<Self> {
        let station: StationId = "123e4567-e89b-12d3-a456-426614174000".parse()?;
        let driver_token = PresentedToken::new(TOKEN);
        let start_ns = 1_795_246_192_094_754_391;
        let secret = (&WEBHOOK_SECRET, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let mut props = Self {
            task: Authorize {
                station_id: station,
                driver_token: driver_token.clone(),
                callback_url: URL.to_owned(),
                expiry_time_ns: start_ns,
            },
            message: Message::default(),
            origin: Origin::new(),
            id: RequestId::new(),
            guard: AddressGuard::default(),
            signer: authorization::config::webhook_signer(&Settings::of([secret]))?,
            key: RecordKey { start_ns, station_id: station, driver_token },
        };
        props.message = encode(&props);
        ensure!(decode(&props.message).as_ref() == Some(&props.task), "a task is not read back");
        ensure!(props.signer.sign("a", 1, b"b").is_some(), "nothing signs");
        ensure!(CallbackUrl::parse(URL, &props.guard).is_ok(), "the URL is refused");
        Ok(props)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_become_dearer_or_is_new_is_named() {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let baseline = counts(&[("a", 1000), ("b", 1000)]);
        assert!(compare(&baseline, &counts(&[("a", 1099), ("b", 10)])).is_empty());
        let dearer = compare(&baseline, &counts(&[("a", 1200), ("c", 1)]));
        assert_eq!(
            dearer,
            ["a: 1200 instructions, 1000 in the baseline", "c: 1 instructions, and none in the baseline"]
        );
    }
}
