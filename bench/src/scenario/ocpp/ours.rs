//! What only our central system promises: durable transactions that are on record once, answers while the access lists hang,
//! commands that are sent exactly once, and memory that does not grow.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use load_generator::Latency;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use simulator::load::calls::{Action, Calls};
use simulator::load::listen::{self, Asked};
use simulator::load::report::{Report, Start};
use simulator::load::sessions::{self, Script};
use simulator::load::{Booted, Target, calls};
use simulator::station::Model;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::figures::*;
use super::stage::{Central, Stage};
use super::{ASKED_TAG, KNOWN_TAG, SIDE, SIDE_PREFIX, Size, disk};
use crate::cpu;

/// Chargers that charge, and how long each rests between two sessions of the open loop: a hundred starts a second, and from
/// the first one on not all at once.
const CHARGING: u32 = 200;
const REST_MS: std::ops::Range<u64> = 0..4_000;
/// Calls and commands a second.
const RATE_OF_CALLS: f64 = 200.0;
const RATE_OF_COMMANDS: f64 = 200.0;
/// Meter values of a charger in the soak.
const METERED_EVERY: f64 = 30.0;
const SOAKED: u32 = 2_000;
/// How long a command may still be under way at the end.
const LAST_COMMANDS: Duration = Duration::from_secs(3);

/// Sessions at a rate beside the fsync of this disk, and then as fast as they go.
pub(super) async fn sessions(stage: &Stage, central: &Central, size: &Size, book: &mut Book) -> Result<()> {
    let target = central.target(CHARGING.min(size.sockets), KNOWN_TAG, size)?;
    let duration = Duration::from_secs_f64(size.seconds);
    let closed = Script::load(duration, Model::default());
    let paced = Script { pause_ms: REST_MS, ..closed.clone() };
    let stop = CancellationToken::new();
    for (name, script) in [(STARTS, paced), (SESSIONS, closed)] {
        let (ended, directory) = (CancellationToken::new(), stage.directory().to_owned());
        let until = ended.clone();
        let syncing = tokio::task::spawn_blocking(move || disk::measure(&directory, &until));
        let report = sessions::run(&target, &script, &stop).await;
        ended.cancel();
        let synced = syncing.await??;
        book.check(name, Server::Voltgate, &report);
        let mut note = |key, value| book.note(key, Server::Voltgate, value);
        if name == STARTS {
            note((DISK, P50), synced.p50_ms);
            note((DISK, P99), synced.p99_ms);
        }
        note((name, RATE), report.starts.len() as f64 / report.seconds);
        for (action, what) in [("StartTransaction", P99), ("StopTransaction", STOP_P99)] {
            if let Some(shown) = report.latency.get(action) {
                note((name, what), shown.p99_ms);
            }
        }
        if let Some(used) = &report.server {
            note((name, CPU), used.cpu_us_each);
        }
        let faults = on_record(stage, &report.starts).await?;
        book.faults.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    stage.quiet().await;
    Ok(())
}

/// Looks each answered start up in `GET /transactions`, where it must be once.
async fn on_record(stage: &Stage, starts: &[Start]) -> Result<Vec<String>> {
    let mut recorded: HashMap<(String, i64), u32> = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = stage.platform.get(&format!("transactions?limit=500&cursor={cursor}")).await?;
        for item in page["items"].as_array().context("a page of transactions has items")? {
            let charger = item["charger"].as_str().unwrap_or_default().to_owned();
            let number = item["ocpp_transaction_id"].as_i64().context("a transaction has a number")?;
            *recorded.entry((charger, number)).or_default() += 1;
        }
        match page["cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    let counts =
        starts.iter().map(|start| recorded.get(&(start.charger.clone(), start.transaction_id)).copied());
    let (mut missing, mut twice) = (0, 0);
    for count in counts {
        match count {
            None => missing += 1,
            Some(1) => {}
            Some(_) => twice += 1,
        }
    }
    let mut faults = Vec::new();
    if missing + twice > 0 {
        faults.push(format!(
            "of {} answered starts {missing} are not on record, {twice} more than once",
            starts.len()
        ));
    }
    Ok(faults)
}

/// Authorize by the pipeline and Heartbeats of other chargers, first with the ACL, then while it is stopped.
pub(super) async fn hung(stage: &Stage, central: &Central, size: &Size, book: &mut Book) -> Result<()> {
    let acl = Pid::from_raw(i32::try_from(stage.acl.id())?);
    let asking = central.target(size.fleet(), ASKED_TAG, size)?;
    let beside = Target {
        prefix: SIDE_PREFIX.to_owned(),
        chargers: SIDE.min(size.sockets),
        ..central.target(1, KNOWN_TAG, size)?
    };
    let before = cpu::resident_kib(central.id())?;
    let usual = both(&asking, &beside, size).await;
    note_both(book, BEFORE, &usual);
    kill(acl, Signal::SIGSTOP).context("cannot stop acl-service")?;
    let hung = both(&asking, &beside, size).await;
    kill(acl, Signal::SIGCONT).context("cannot resume acl-service")?;
    note_both(book, HUNG, &hung);
    stage.quiet().await;
    book.note((HUNG, LEFT), Server::Voltgate, cpu::resident_kib(central.id())? - before);
    Ok(())
}

async fn both(asking: &Target, beside: &Target, size: &Size) -> (Report, Report) {
    let (asking, beside) = tokio::join!(Booted::open(asking), Booted::open(beside));
    // Longer than the deadline of a driver, whatever the length of a phase.
    let duration = Duration::from_secs_f64(size.seconds.max(5.0));
    let calls =
        |action| Calls { action, duration, per_second: Some(RATE_OF_CALLS.min(f64::from(size.sockets))) };
    tokio::join!(
        calls::call_all(asking, calls(Action::Authorize)),
        calls::call_all(beside, calls(Action::Heartbeat))
    )
}

fn note_both(book: &mut Book, name: &'static str, (asked, beside): &(Report, Report)) {
    for (report, what) in [(asked, P99), (beside, OTHERS_P99)] {
        book.check(name, Server::Voltgate, report);
        if let Some(shown) = report.latency.get("from when due") {
            book.note((name, what), Server::Voltgate, shown.p99_ms);
        }
    }
}

/// Commands over REST, spread over a thousand chargers.
pub(super) async fn commands(stage: &Stage, central: &Central, size: &Size, book: &mut Book) -> Result<()> {
    let target = central.target(size.fleet(), KNOWN_TAG, size)?;
    let booted = Booted::open(&target).await;
    stage.quiet().await;
    let duration = Duration::from_secs_f64(size.seconds);
    let ((report, asked), requested) =
        tokio::join!(listen::listen(booted, duration + LAST_COMMANDS), request(stage, &target, duration));
    book.check(COMMANDS, Server::Voltgate, &report);
    let mut came: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for Asked { id, at } in asked {
        came.entry(id).or_default().push(at);
    }
    let (mut latency, mut missing, mut twice) = (Latency::new(), 0, 0);
    let requested = requested?;
    for (id, due) in &requested {
        match came.remove(id).as_deref() {
            None => missing += 1,
            Some([at]) => latency.record(at.saturating_duration_since(*due)),
            Some(_) => twice += 1,
        }
    }
    if missing + twice + came.len() > 0 {
        book.faults.push(format!(
            "{COMMANDS}: of {} commands {missing} never came, {twice} came twice; {} came that were not requested",
            requested.len(),
            came.len()
        ));
    }
    let shown = latency.percentiles();
    book.note((COMMANDS, RATE), Server::Voltgate, requested.len() as f64 / duration.as_secs_f64());
    book.note((COMMANDS, P50), Server::Voltgate, shown.p50_ms);
    book.note((COMMANDS, P99), Server::Voltgate, shown.p99_ms);
    stage.quiet().await;
    Ok(())
}

/// Requests commands at a rate; returns the id of each, and when its request was due.
async fn request(stage: &Stage, target: &Target, duration: Duration) -> Result<Vec<(String, Instant)>> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let began = Instant::now();
    let count = (RATE_OF_COMMANDS * duration.as_secs_f64()) as u32;
    let mut requests = JoinSet::new();
    for number in 0..count {
        let due = began + Duration::from_secs_f64(f64::from(number) / RATE_OF_COMMANDS);
        let charger = format!("{}{}", target.prefix, number % target.chargers + 1);
        let url = format!("{}/api/v1/chargers/{charger}/trigger-message", stage.platform.url);
        let request = http.post(url).header("x-api-key", &stage.platform.key);
        let request = request.json(&json!({"requested_message": "Heartbeat"}));
        sleep_until(due).await;
        requests.spawn(async move {
            let answer = request.send().await?;
            let (status, body): (_, Value) = (answer.status(), answer.json().await?);
            match body["command_id"].as_str() {
                Some(id) => Ok((id.to_owned(), due)),
                None => bail!("a command was answered {status} {body}"),
            }
        });
    }
    let mut requested = Vec::new();
    while let Some(request) = requests.join_next().await {
        requested.push(request??);
    }
    Ok(requested)
}

/// Meter values for a long time; the memory of the second and of the last quarter.
pub(super) async fn soak(central: &Central, size: &Size, book: &mut Book) -> Result<()> {
    let chargers = SOAKED.min(size.sockets);
    let target = central.target(chargers, KNOWN_TAG, size)?;
    let duration = Duration::from_secs_f64(size.soak);
    let calls = Calls {
        action: Action::MeterValues,
        duration,
        per_second: Some(f64::from(chargers) / METERED_EVERY),
    };
    let booted = Booted::open(&target).await;
    let (report, samples) = tokio::join!(calls::call_all(booted, calls), async {
        let (began, mut samples) = (Instant::now(), Vec::new());
        let every = (duration / 100).max(Duration::from_millis(100));
        while began.elapsed() < duration {
            samples.push(cpu::resident_kib(central.id())?);
            sleep(every).await;
        }
        Ok::<_, anyhow::Error>(samples)
    });
    book.check(SOAK, Server::Voltgate, &report);
    let samples = samples?;
    let quarter = samples.len() / 4;
    let (second, last) = (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]);
    if quarter > 0 {
        book.note((SOAK, GROWTH), Server::Voltgate, median(last) / median(second));
    }
    Ok(())
}
