//! `sessions`: whole chargers that charge again and again, by a script.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::process::Usage;
use super::report::{Latency, Report, Start};
use super::{Counts, Target};
use crate::charger::{Charger, Ended, Settings};
use crate::event::{Event, Journal};
use crate::station::Model;

/// How long a boot, and the last answers, may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The events of one charger that are not yet counted.
const EVENTS: usize = 1024;

/// What the drivers of all chargers do.
#[derive(Debug, Clone)]
pub struct Script {
    /// For how long sessions are begun.
    pub duration: Duration,
    /// Milliseconds from a session to the next.
    pub pause_ms: Range<u64>,
    /// Milliseconds of charging.
    pub charging_ms: Range<u64>,
    /// Between two meter values, in seconds.
    pub sample_secs: u32,
    /// What each charger is; the seed of each follows from this one.
    pub model: Model,
    /// Where events are written.
    pub journal: Journal,
}

impl Script {
    /// Sessions one after another, without a pause: a load.
    #[must_use]
    pub fn load(duration: Duration, model: Model) -> Self {
        let (pause_ms, charging_ms) = (0..1, 0..1);
        Self { duration, pause_ms, charging_ms, sample_secs: 0, model, journal: Journal::none() }
    }
}

/// What one charger saw.
#[derive(Default)]
struct Seen {
    calls: u64,
    latency: BTreeMap<&'static str, Latency>,
    starts: Vec<Start>,
    errors: Counts,
    violations: Counts,
    unanswered: u64,
}

/// Runs the script on all chargers, then waits for the last answers.
pub async fn run(target: &Target, script: &Script, stop: &CancellationToken) -> Report {
    let mut report = Report::default();
    let before = Usage::of(target.pid);
    let began = Instant::now();
    let mut chargers = JoinSet::new();
    for index in 0..target.chargers {
        let mut settings = Settings::new(target.dial(index));
        settings.model = Model { seed: script.model.seed.wrapping_add(index.into()), ..script.model.clone() };
        settings.journal = script.journal.clone();
        settings.configuration = vec![("MeterValueSampleInterval", script.sample_secs.to_string())];
        let (at, script, tag) = (began + target.due(index), script.clone(), target.tag.clone());
        let stop = stop.clone();
        chargers.spawn(async move {
            tokio::select! {
                () = sleep_until(at) => {}
                () = stop.cancelled() => return Seen::default(),
            }
            charge(settings, &script, tag, &stop).await
        });
    }
    let (mut latency, mut ids) = (BTreeMap::<_, Latency>::new(), BTreeSet::new());
    while let Some(seen) = chargers.join_next().await {
        let Ok(seen) = seen else {
            report.error("a charger that panicked".to_owned());
            continue;
        };
        report.sockets += u64::from(seen.latency.contains_key("BootNotification"));
        report.calls += seen.calls;
        report.unanswered += seen.unanswered;
        report.add(&seen.errors, &seen.violations);
        for (action, of_one) in &seen.latency {
            latency.entry(*action).or_default().add(of_one);
        }
        let doubled = seen.starts.iter().map(|start| start.transaction_id).filter(|id| !ids.insert(*id));
        report.doubled.extend(doubled);
        report.starts.extend(seen.starts);
    }
    report.took(began.elapsed());
    for (action, latency) in &latency {
        report.latency(action, latency);
    }
    report.server(before, Usage::of(target.pid), report.calls);
    report
}

async fn charge(settings: Settings, script: &Script, tag: String, stop: &CancellationToken) -> Seen {
    let (observer, events) = mpsc::channel(EVENTS);
    let mut dice = StdRng::seed_from_u64(settings.model.seed);
    let name = settings.dial.charger.clone();
    let charger = Charger::start(settings, Some(observer), &CancellationToken::new());
    let counting = tokio::spawn(count(name, events));
    let charging = async {
        if timeout(PATIENCE, charger.until(|now| now.accepted)).await.is_err() {
            return Ok(());
        }
        let end = Instant::now() + script.duration;
        while Instant::now() < end {
            session(&charger, script, &tag, &mut dice, end).await?;
        }
        Ok::<(), Ended>(())
    };
    tokio::select! {
        _ = charging => {}
        () = stop.cancelled() => {}
    }
    let _ = charger.with(|station, now| station.unplug(1, now)).await;
    let _ = timeout(PATIENCE, charger.until(|now| now.unanswered == 0)).await;
    let unanswered = charger.situation().unanswered as u64;
    charger.stop().await;
    let mut seen = counting.await.unwrap_or_default();
    seen.unanswered = unanswered;
    if !seen.latency.contains_key("BootNotification") {
        *seen.errors.entry("never booted".to_owned()).or_default() += 1;
    }
    seen
}

/// Plug, tap, charge, unplug.
async fn session(
    charger: &Charger,
    script: &Script,
    tag: &str,
    dice: &mut StdRng,
    end: Instant,
) -> Result<(), Ended> {
    let mut wait = |range: &Range<u64>| Duration::from_millis(dice.random_range(range.clone()));
    sleep_until((Instant::now() + wait(&script.pause_ms)).min(end)).await;
    let _ = charger.with(|station, now| station.plug(1, now)).await?;
    let id_tag = tag.to_owned();
    let _ = charger.with(move |station, now| station.tap(1, &id_tag, now)).await?;
    // Without an answer the charger has decided by itself, or the driver leaves.
    let _ = timeout_at(end.max(Instant::now()) + PATIENCE, charger.until(|now| now.idle)).await;
    sleep_until((Instant::now() + wait(&script.charging_ms)).min(end)).await;
    let _ = charger.with(|station, now| station.unplug(1, now)).await?;
    let _ = timeout(PATIENCE, charger.until(|now| now.idle)).await;
    Ok(())
}

async fn count(charger: String, mut events: mpsc::Receiver<Event>) -> Seen {
    let mut seen = Seen::default();
    while let Some(event) = events.recv().await {
        let error = |seen: &mut Seen, kind: String| *seen.errors.entry(kind).or_default() += 1;
        match event {
            Event::Received { action, kind, took_us: Some(took), .. } => {
                if kind == "result" {
                    seen.calls += 1;
                    let latency = seen.latency.entry(known(&action)).or_default();
                    latency.record(Duration::from_micros(took));
                } else {
                    error(&mut seen, format!("{action} refused with {kind}"));
                }
            }
            Event::NotConnected { why } => error(&mut seen, format!("not connected: {why}")),
            Event::NoAnswer { action } => error(&mut seen, format!("{action} without an answer")),
            Event::GivenUp { action } => error(&mut seen, format!("{action} given up")),
            Event::Violation { action, what } => {
                *seen.violations.entry(format!("{action}: {what}")).or_default() += 1;
            }
            Event::Tapped { status, .. } if !matches!(status.as_str(), "Accepted" | "Offline") => {
                error(&mut seen, format!("the card was answered {status}"));
            }
            Event::Started { transaction_id, .. } => {
                seen.starts.push(Start { charger: charger.clone(), transaction_id, meter_stop: None });
            }
            Event::Stopped { transaction_id, meter_stop } => {
                let mut starts = seen.starts.iter_mut().rev();
                if let Some(start) = starts.find(|start| start.transaction_id == transaction_id) {
                    start.meter_stop = Some(meter_stop);
                }
            }
            _ => {}
        }
    }
    seen
}

/// The actions whose latency is shown by name.
fn known(action: &str) -> &'static str {
    let names = ["BootNotification", "Authorize", "StartTransaction", "StopTransaction", "MeterValues"];
    names.into_iter().find(|name| *name == action).unwrap_or("others")
}
